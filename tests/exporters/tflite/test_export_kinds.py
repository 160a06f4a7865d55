"""Every kind of Keras model becomes a proven file, in every precision, and is left as it was."""

import itertools
from collections import OrderedDict

import keras
import model_kinds
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_lottery.exporters import tflite

PRECISIONS = ("float32", "float16", "int8")

# Each kind in one precision; the fuzz test crosses them.
CASES = list(zip(model_kinds.KINDS, itertools.cycle(PRECISIONS), strict=False))


@pytest.mark.parametrize(
    ("kind", "precision"), CASES, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_model_of_any_kind_is_exported_and_proven(kind, precision, tmp_path):
    model = model_kinds.prune(kind())
    before = [variable.numpy() for variable in model.weights]
    policies = [layer.dtype_policy.name for layer in model.layers]
    report = tflite.export(model, tmp_path / "model.tflite", precision=precision)
    assert set(report.proof.errors) == {"XNNPACK", "built-in kernels"}
    assert report.inspection.file_bytes < report.dense_size.raw
    assert policies == [layer.dtype_policy.name for layer in model.layers]
    for value, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_model_that_keras_has_quantised_is_refused(policy, tmp_path):
    model = keras.Sequential([keras.Input((20,)), layers.Dense(4, name="scores", dtype=policy)])
    model.layers[0].quantize("int8")
    match = "Keras has quantised the layer 'scores' .* as it was before `quantize`"
    with pytest.raises(tflite.ExportError, match=match):
        tflite.export(model, tmp_path / "x.tflite")


def test_a_model_in_float64_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((20,)), layers.Dense(4, name="scores", dtype="float64")])
    with pytest.raises(tflite.ExportError, match="'scores' computes in float64"):
        tflite.export(model, tmp_path / "x.tflite")


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_the_runtime_in_tensorflow_agrees(precision, use_bias, tmp_path):
    """Its XNNPACK is another version: beside float16 weights it needs float16 biases."""
    import tensorflow as tf

    stack = [
        keras.Input((8, 8, 4)),
        layers.Conv2D(30, 3, use_bias=use_bias),
        layers.DepthwiseConv2D(3, use_bias=use_bias),
        layers.Conv2DTranspose(8, 3, use_bias=use_bias),
        layers.Flatten(),
        layers.Dense(300, use_bias=use_bias),
        layers.Dense(10, use_bias=use_bias),
    ]
    model = model_kinds.prune(keras.Sequential(stack))
    tflite.export(model, tmp_path / "model.tflite", precision=precision)
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).random((1, 8, 8, 4), np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    expected = model(x).numpy()
    assert np.abs(got - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("kind", [model_kinds.two_inputs_two_outputs, model_kinds.attention])
def test_a_model_of_any_kind_in_full_integers(kind, tmp_path):
    model = model_kinds.prune(kind())
    rng = np.random.default_rng(0)
    samples = keras.tree.map_structure(
        lambda tensor: rng.standard_normal((32, *tensor.shape[1:])), model.input
    )
    report = tflite.export(model, tmp_path / "model.tflite", target="int8", samples=samples)
    assert max(report.proof.errors.values()) < 0.1


def test_a_table_in_full_integers(tmp_path):
    """Its integers have an offset, which stands for zero."""
    model = model_kinds.prune(model_kinds.embedding())
    tokens = np.random.default_rng(0).integers(0, 80, (200, 6))
    report = tflite.export(model, tmp_path / "model.tflite", target="int8", samples=tokens)
    assert max(report.proof.errors.values()) < 0.1


def test_a_loop_in_full_integers_is_refused(tmp_path):
    """TensorFlow's calibration would end the process."""
    model = model_kinds.prune(model_kinds.lstm())
    samples = np.zeros((4, 6, 12), np.float32)
    with pytest.raises(
        tflite.ExportError, match="has a loop: build its recurrent layers with unroll"
    ):
        tflite.export(model, tmp_path / "model.tflite", target="int8", samples=samples)


def test_nothing_is_printed(tmp_path, capfd):
    model = model_kinds.prune(model_kinds.sequential())
    samples = np.random.default_rng(0).random((8, 8, 8, 1), np.float32)
    for target in ("size", "int8"):
        tflite.export(model, tmp_path / f"{target}.tflite", target=target, samples=samples)
    assert capfd.readouterr() == ("", "")


def test_constants_carry_the_names_of_keras(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((40,), name="image"),
            layers.Dense(30, name="fc1"),
            layers.Dense(30, name="output"),
        ]
    )
    report = tflite.export(model_kinds.prune(model), tmp_path / "model.tflite")
    assert {weight.name for weight in report.inspection.weights} == {"fc1/kernel", "output/kernel"}


def test_samples_give_a_subclassed_model_its_inputs_and_open_axes_their_length(tmp_path):
    sequence = keras.Input((None, 12))
    model = keras.Model(sequence, layers.Dense(40)(sequence))
    model_kinds.prune(model)
    with pytest.raises(tflite.ExportError, match="every axis but the first: pass `samples`"):
        tflite.export(model, tmp_path / "model.tflite")
    samples = np.random.default_rng(0).random((3, 5, 12))
    tflite.export(model, tmp_path / "model.tflite", samples=samples)


def test_a_model_that_mixes_its_examples_is_refused(tmp_path):
    image = keras.Input((20,))
    model = keras.Model(image, keras.ops.mean(layers.Dense(4)(image)))
    with pytest.raises(tflite.ExportError, match=r"has shape \(8,\), in Keras \(\)"):
        tflite.export(model, tmp_path / "x.tflite")


def test_inputs_in_an_order_of_their_own(tmp_path):
    inputs = OrderedDict(z=keras.Input((4,), name="z"), c=keras.Input((4,), name="c"))
    model = keras.Model(inputs, layers.Dense(3)(inputs["z"] - 3 * inputs["c"]))
    samples = {name: np.random.default_rng(ord(name)).random((8, 4)) for name in "cz"}
    for given in (None, OrderedDict(z=samples["z"], c=samples["c"])):
        report = tflite.export(model, tmp_path / "x.tflite", samples=given, overwrite=True)
        assert max(report.proof.errors.values()) < 1e-5


class Partly(keras.Model):
    """Returns nothing in one place, and a number in another."""

    def __init__(self):
        super().__init__()
        self.scores = layers.Dense(3)

    def call(self, x):
        return self.scores(x), None, keras.ops.convert_to_tensor([0.5])


def test_outputs_that_are_nothing_are_left_out(tmp_path):
    model = Partly()
    model(np.zeros((2, 20), np.float32))
    report = tflite.export(model, tmp_path / "x.tflite", samples=np.ones((1, 20)))
    assert max(report.proof.errors.values()) < 1e-5


def test_a_sequential_of_several_outputs(tmp_path):
    lstm = layers.LSTM(8, return_state=True, unroll=True, name="lstm")
    tflite.export(keras.Sequential([keras.Input((6, 12)), lstm]), tmp_path / "x.tflite")
    interpreter = Interpreter(str(tmp_path / "x.tflite"))
    names = [each["name"] for each in interpreter.get_output_details()]
    assert names == ["lstm_1", "lstm_1", "lstm_2"]  # the first two are one tensor


def test_a_model_built_for_a_batch_of_one(tmp_path):
    image = keras.Input(batch_shape=(1, 6, 12))
    x = keras.ops.reshape(image, (1, 72))
    model = keras.Model(image, layers.Dense(3)(x))
    samples = np.random.default_rng(0).random((20, 6, 12))
    tflite.export(model, tmp_path / "made_up.tflite")
    tflite.export(model, tmp_path / "x.tflite", target="int8", samples=samples)


class TwoTowers(keras.Model):
    """Takes and returns dicts, and looks one of its inputs up in a table."""

    def __init__(self):
        super().__init__()
        self.table, self.image = layers.Embedding(30, 8), layers.Dense(8)

    def call(self, x):
        words = keras.ops.mean(self.table(x["words"]), axis=1)
        return {"similar": words * self.image(x["image"]), "words": words}


@pytest.mark.parametrize("named_by", ["samples of a subclass", "a functional model"])
def test_inputs_and_outputs_have_the_names_and_types_that_the_user_gave(named_by, tmp_path):
    rng = np.random.default_rng(0)
    samples = {"words": rng.integers(0, 30, (8, 5)), "image": rng.random((8, 12))}
    model = TwoTowers()
    model(samples)
    if named_by == "a functional model":
        inputs = {
            "words": keras.Input((5,), dtype="int32", name="words"),
            "image": keras.Input((12,), name="image"),
        }
        model = keras.Model(inputs, model(inputs))
    tflite.export(model_kinds.prune(model), tmp_path / "x.tflite", samples=samples)
    interpreter = Interpreter(str(tmp_path / "x.tflite"))
    inputs = {each["name"]: each["dtype"] for each in interpreter.get_input_details()}
    assert inputs == {"words": np.int32, "image": np.float32}
    assert {each["name"] for each in interpreter.get_output_details()} == {"similar", "words"}
