"""Bad input is refused with one error, and a file that fails its proof is not left behind."""

import os
import tempfile

import keras
import model_kinds
import numpy as np
import pytest
from keras import layers

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.conversion import examples, reference, signature
from keras_lottery.exporters.tflite.format import encoding
from keras_lottery.exporters.tflite.rewriting import forms
from keras_lottery.exporters.tflite.runtimes import measure


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return model_kinds.prune(
        keras.Sequential(
            [keras.Input((40,)), layers.Dense(40, name="fc1"), layers.Dense(3, name="scores")]
        )
    )


def refused(error, match, model, path, **arguments):
    with pytest.raises(error, match=match):
        tflite.export(model, path, **arguments)
    assert not list(path.parent.iterdir())


def test_what_is_no_model(tmp_path):
    match = r"`model` is a builtins.str; it must be a model of Keras 3"
    refused(ValueError, match, "M.keras", tmp_path / "x.tflite")


def test_an_unbuilt_model(tmp_path):
    model = keras.Sequential([layers.Dense(3)], name="net")
    refused(tflite.ExportError, "'net' is not built", model, tmp_path / "x.tflite")


def test_a_model_without_weights(tmp_path):
    model = keras.Sequential([keras.Input((8, 8)), layers.Rescaling(0.5)], name="net")
    refused(tflite.ExportError, "'net' has no weights", model, tmp_path / "x.tflite")


def test_a_model_that_tensorflow_cannot_express(tmp_path):
    image = keras.Input((8,))
    model = keras.Model(image, keras.ops.erf(layers.Dense(8)(image)))
    refused(tflite.ExportError, r"cannot express .*'tf\.Erf' op", model, tmp_path / "x.tflite")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(model, value, tmp_path):
    model.layers[0].bias.assign([value] * 2 + [0] * 38)
    match = "'fc1/bias' has 2 NaN or infinite values"
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite")


def test_samples_that_keras_answers_with_nan(model, tmp_path):
    samples = np.zeros((4, 40))
    samples[2, 3] = np.nan
    match = "output 'scores' is not finite in Keras itself on the samples"
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite", samples=samples)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"target": "speed"},
            "`target` is 'speed'; it must be one of size, latency, int8, micro, auto",
        ),
        ({"precision": "int4"}, "`precision` is 'int4'; it must be one of float32, float16, int8"),
        (
            {"target": "int8", "precision": "float16"},
            "`precision` is 'float16', but target 'int8' always stores int8",
        ),
        ({"target": "int8"}, "pass `samples`, real inputs"),
        ({"target": "micro"}, "pass `samples`, real inputs"),
        ({"weigh": {"bytes": 1}}, "`weigh` is for the target 'auto'"),
        ({"target": "micro", "measure": True}, "not in TensorFlow Lite Micro"),
        ({"at_least": 0.99}, "sparsity of 0.*, less than `at_least=0.99`: fc1/kernel"),
        ({"at_least": 99}, "`at_least` is 99; a sparsity must be in"),
        ({"target": "auto", "weigh": {"size": 1}}, "for any of bytes, time, memory"),
        ({"target": "auto", "weigh": {"time": 0}}, "one positive"),
        ({"target": "auto", "weigh": {"time": float("nan")}}, "one positive"),
        ({"target": "auto", "weigh": {"time": "2"}}, "received {'time': '2'}"),
        ({"samples": np.zeros((4, 41))}, r"shapes \[\(41,\)\]; the model takes \[\(40,\)\]"),
        ({"samples": np.zeros((0, 40))}, "one or more"),
        ({"samples": [np.zeros((4, 40))] * 2}, "the model takes"),
        ({"samples": [[0.0] * 40] * 4}, "must be an array .* received a list with a float"),
        ({"samples": (row for row in range(4))}, "received a int for a batch"),
        ({"samples": (row for row in ())}, "has no batch"),
        ({"calibrate": 0}, "`calibrate` is 0; it must be a whole number"),
        ({"compare": 2.5}, "`compare` is 2.5"),
        ({"batch": True}, "`batch` is True"),
        (
            {"samples": {"x": np.zeros((4, 40))}},
            "is a dict of x; the model takes an array or a list",
        ),
    ],
    ids=lambda each: str(each)[:30],
)
def test_an_argument_that_is_wrong(model, arguments, match, tmp_path):
    refused(ValueError, match, model, tmp_path / "x.tflite", **arguments)


@pytest.mark.parametrize(("value", "dtype"), [(0.4, "uint8"), (300, "uint8"), (2, "bool")])
def test_a_sample_that_an_input_cannot_take(value, dtype, tmp_path):
    image = keras.Input((4,), dtype=dtype, name="pixels")
    model = keras.Model(image, layers.Dense(2)(layers.Rescaling(1 / 255)(image)))
    samples = np.full((3, 4), value)
    match = f"`samples` has {value} for the input 'pixels', which takes {dtype}"
    refused(ValueError, match, model, tmp_path / "x.tflite", samples=samples)


def test_samples_that_keras_cannot_be_called_on(tmp_path):
    tokens = keras.Input((6,), dtype="int32")
    model = keras.Model(tokens, layers.Embedding(10, 4)(tokens), name="language")
    match = "Keras cannot call 'language' on the samples"
    samples = np.full((3, 6), 10)
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite", samples=samples)


def test_a_model_that_takes_strings(tmp_path):
    words = keras.Input((1,), dtype="string", name="words")
    model = keras.Model(words, layers.Dense(2)(layers.StringLookup(vocabulary=["a"])(words)))
    match = "'words' takes string, not numbers"
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite")


def test_an_array_and_a_list_of_it_are_the_same_samples():
    image = keras.Input((4,))
    model = keras.Model([image], layers.Dense(2)(image))
    x = np.zeros((3, 4))
    for samples in (x, [x], (x,)):
        [fitted] = examples.fitted(samples, signature.infer(model, samples))
        assert (fitted.shape, fitted.dtype) == ((3, 4), np.float32)


def test_an_existing_file_is_kept_unless_told(model, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        tflite.export(model, path)
    assert path.read_bytes() == b"precious"
    tflite.export(model, path, overwrite=True)
    assert path.read_bytes()[4:8] == b"TFL3"


def test_a_folder_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/x\.tflite"):
        tflite.export(model, tmp_path / "file" / "x.tflite")
    with pytest.raises(FileNotFoundError, match=r"missing/x\.tflite .*: there is no folder"):
        tflite.export(model, tmp_path / "missing" / "x.tflite")
    for overwrite in (False, True):
        with pytest.raises(IsADirectoryError, match=f"{tmp_path} is a folder"):
            tflite.export(model, tmp_path, overwrite=overwrite)


@pytest.fixture
def read_only_folder():
    """A folder that this process may read, and not write."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        if user := os.geteuid():
            yield folder
            return
        # Root may write anywhere.
        os.seteuid(65534)
        yield folder
        os.seteuid(user)


def test_a_read_only_folder(model, read_only_folder):
    with pytest.raises(PermissionError, match=rf"{read_only_folder}/x\.tflite"):
        tflite.export(model, f"{read_only_folder}/x.tflite")
    assert not os.listdir(read_only_folder)


def answer_otherwise(monkeypatch, change):
    """Lets Keras answer other than it does."""
    faithful = reference.answers
    monkeypatch.setattr(
        reference, "answers", lambda *given: [change(each) for each in faithful(*given)]
    )


def test_a_failed_proof_leaves_the_old_file(model, tmp_path, monkeypatch):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"precious")
    answer_otherwise(monkeypatch, lambda scores: 1.1 * scores)
    with pytest.raises(tflite.ExportError, match="'scores' in XNNPACK is off"):
        tflite.export(model, path, overwrite=True)
    assert (
        [path.read_bytes()] == [each.read_bytes() for each in tmp_path.iterdir()] == [b"precious"]
    )


def test_what_is_no_ordinary_file_is_kept(model, tmp_path):
    os.mkfifo(tmp_path / "x.tflite")
    with pytest.raises(FileExistsError, match="it is no ordinary file"):
        tflite.export(model, tmp_path / "x.tflite", overwrite=True)
    assert (tmp_path / "x.tflite").is_fifo()


def test_a_model_without_zeros_is_stored_densely_and_says_so(tmp_path):
    model = keras.Sequential([keras.Input((40,)), layers.Dense(40, name="fc1")])
    report = tflite.export(model, tmp_path / "x.tflite")
    [weight] = report.inspection.weights
    assert weight.encoding == "dense"
    assert "The model has no pruned weight; every weight is stored densely." in report.notes


def test_values_that_are_stored_wrongly_are_found(model, tmp_path, monkeypatch):
    faithful = encoding.encode

    def one_off(values, plan):
        stored, sparsity = faithful(values, plan)
        return stored + np.float32(0.5), sparsity

    monkeypatch.setattr(encoding, "encode", one_off)
    match = r"'fc1/kernel' has \d+ weights of another value"
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite")


def test_outputs_that_are_not_those_of_keras_are_found(model, tmp_path, monkeypatch):
    answer_otherwise(monkeypatch, lambda scores: 1.1 * scores)
    match = "output 'scores' in XNNPACK is off by 0.0[89].*, for example [0-7]; 0.0001 is allowed"
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite")


def test_weights_in_int8_may_not_be_off_by_a_tenth(model, tmp_path, monkeypatch):
    answer_otherwise(monkeypatch, lambda scores: 1.1 * scores)
    match = "output 'scores' in XNNPACK is off by .* 0.05 is allowed"
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite", precision="int8")


def test_classes_that_often_change_places_are_reported(tmp_path):
    model = keras.Sequential([keras.Input((40,)), layers.Dense(3, use_bias=False)])
    column = np.random.default_rng(0).standard_normal((40, 1))
    # Three scores alike, but for what float16 cannot tell apart.
    model.layers[0].kernel.assign(column * [1, 1 + 2e-5, 1 - 2e-5])
    report = tflite.export(model, tmp_path / "x.tflite", precision="float16")
    assert report.proof.agreement < 0.9
    [note] = [note for note in report.notes if "are another class than in Keras" in note]
    assert "scores it nearly alike: 0.0% of the largest score lower" in note


def test_measuring_is_up_to_the_user(model, tmp_path, monkeypatch):
    path = tmp_path / "x.tflite"
    found = [measure.Measurement("x.tflite", "XNNPACK", failure="for a test")]
    monkeypatch.setattr(measure, "measure", lambda files: found if files == [path] else [])
    assert tflite.export(model, path).measurements == ()
    assert tflite.export(model, path, measure=True, overwrite=True).measurements == tuple(found)


def test_a_pruned_weight_that_comes_alive_is_found(model, tmp_path, monkeypatch):
    faithful = forms.write

    def revive(model, subgraph, index, choice):
        choice.values.reshape(-1)[np.argmin(np.abs(choice.values))] = 1e-12
        plan = encoding.cheapest(choice.values, choice.values.itemsize)
        revived = forms.Form(choice.precision, choice.values, None, 0, plan)
        faithful(model, subgraph, index, revived)

    choices = forms.possible
    monkeypatch.setattr(forms, "possible", lambda w, *rest: choices(w.copy(), *rest))
    monkeypatch.setattr(forms, "write", revive)
    match = "'fc1/kernel' has 1 pruned weights that are alive"
    refused(tflite.ExportError, match, model, tmp_path / "x.tflite")


def test_a_file_that_a_runtime_refuses_is_found(model, tmp_path, monkeypatch):
    def unpack_nothing(model, subgraph, index, values, plan):
        subgraph.tensors[index].buffer = 0

    monkeypatch.setattr(forms, "densify", unpack_nothing)
    refused(tflite.ExportError, "'fc1/kernel'", model, tmp_path / "x.tflite")
