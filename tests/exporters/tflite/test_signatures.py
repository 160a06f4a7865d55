"""Files fit in: signatures, names without counters, the same bytes each time, batches."""

import subprocess
import sys

import keras
import model_kinds
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.conversion import names
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.runtimes import interpreter

MODES = [("size", "float32"), ("size", "int8"), ("latency", "float16"), ("int8", None)]


@pytest.mark.parametrize(("target", "precision"), MODES)
def test_a_file_is_called_by_the_names_of_its_model(target, precision, tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((5,), name="b")
    x = layers.Concatenate()([a, b])
    model = keras.Model([a, b], {"box": layers.Dense(4)(x), "scores": layers.Dense(3)(x)})
    rng = np.random.default_rng(0)
    samples = [rng.standard_normal((40, n)).astype(np.float32) for n in (4, 5)]
    path = tmp_path / "x.tflite"
    tflite.export(model, path, target=target, precision=precision, samples=samples)
    run = Interpreter(str(path)).get_signature_runner("serving_default")
    found = run(a=samples[0][:1], b=samples[1][:1])
    wanted = model([array[:1] for array in samples])
    assert set(found) == {"box", "scores"}
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], atol=0.1)


def unnamed():
    """A model whose layers Keras names, of every kind that has weights or is an end."""
    keras.utils.set_random_seed(0)
    image = keras.Input((10, 10, 3))
    x = layers.Conv2D(8, 3, activation="relu")(image)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3)(x)) + 1.0
    inner = keras.Sequential([keras.Input((6, 6, 8)), layers.Flatten(), layers.Dense(12)])
    x = inner(x)
    return keras.Model(image, [layers.Dense(5)(x), layers.Dense(2)(x)])


@pytest.mark.parametrize(("target", "precision"), [*MODES, ("micro", None)])
def test_the_same_model_gives_the_same_bytes(target, precision, tmp_path):
    samples = np.random.default_rng(0).random((20, 10, 10, 3), np.float32)
    files = []
    for number in range(2):
        path = tmp_path / f"{number}.tflite"
        arguments = {"target": target, "precision": precision, "samples": samples}
        tflite.export(model_kinds.prune(unnamed()), path, **arguments)
        files.append(path.read_bytes())
    assert files[0] == files[1]
    signature = Interpreter(model_content=files[0]).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["input"], "outputs": ["dense_1", "dense_2"]}


@pytest.mark.long
def test_the_same_model_gives_the_same_bytes_in_another_process(tmp_path):
    model = unnamed()
    model.save(tmp_path / "m.keras")
    tflite.export(model, tmp_path / "here.tflite")
    code = (
        "import sys, keras; from keras_lottery.exporters import tflite; "
        "keras.layers.Dense(3); "
        "tflite.export(keras.saving.load_model(sys.argv[1]), sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.keras", tmp_path / "there.tflite"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here.tflite").read_bytes() == (tmp_path / "there.tflite").read_bytes()


def test_names_of_the_user_stay():
    stack = [layers.Dense(3, name="conv_2"), layers.Dense(3), layers.Dense(3, name="dense")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    found = names.of_layers(model)
    assert found["conv_2"] == "conv_2"
    assert sorted(found[layer.name] for layer in model.layers) == ["conv_2", "dense", "dense_1"]


def test_one_tensor_may_be_two_outputs(tmp_path):
    lstm = layers.LSTM(8, return_state=True, unroll=True, name="lstm")
    tflite.export(keras.Sequential([keras.Input((6, 12)), lstm]), tmp_path / "x.tflite")
    run = Interpreter(str(tmp_path / "x.tflite")).get_signature_runner()
    assert set(run.get_output_details()) == {"lstm_0", "lstm_1", "lstm_2"}


@pytest.mark.parametrize(("target", "precision"), MODES)
def test_a_file_for_a_batch(target, precision, tmp_path):
    model = model_kinds.prune(model_kinds.sequential())
    samples = np.random.default_rng(0).random((22, 8, 8, 1), np.float32)
    path = tmp_path / "x.tflite"
    arguments = {"target": target, "precision": precision, "samples": samples}
    report = tflite.export(model, path, batch=5, **arguments)
    assert report.proof.batch == 5
    assert any(note.startswith("The file takes 5 examples at once") for note in report.notes)
    [detail] = Interpreter(str(path)).get_input_details()
    assert detail["shape"].tolist() == [5, 8, 8, 1]
    [got] = interpreter.invoke(path.read_bytes(), [samples], "XNNPACK")
    assert got.shape == (22, 10)
    np.testing.assert_allclose(got, np.asarray(model(samples)), atol=0.1)


def test_what_a_file_can_be_resized_to_is_said(tmp_path):
    sequence = keras.Input((6, 8))
    free = keras.Model(sequence, layers.Conv1D(4, 3)(sequence))
    report = tflite.export(free, tmp_path / "x.tflite")
    image = keras.Input((4, 4, 3))
    fixed = keras.Model(image, keras.ops.reshape(layers.Conv2D(4, 1)(image), (1, 8, 8)))
    other = tflite.export(fixed, tmp_path / "y.tflite", samples=np.ones((1, 4, 4, 3)))
    assert not other.proof.resizes
    assert report.proof.resizes == any("can be resized" in note for note in report.notes)


def test_a_model_built_for_a_batch_takes_that(tmp_path):
    image = keras.Input(batch_shape=(4, 6, 12))
    model = keras.Model(image, layers.Dense(3)(keras.ops.reshape(image, (4, 72))))
    assert prepare(model).batch == 4
    report = tflite.export(model, tmp_path / "x.tflite", samples=np.ones((10, 6, 12)))
    assert (report.proof.batch, report.proof.compared) == (4, 10)
    with pytest.raises(ValueError, match="`batch` is 2; the model was built for batches of 4"):
        tflite.export(model, tmp_path / "x.tflite", batch=2, overwrite=True)
