"""The proof fails where a file is not a faithful copy, and says of which tensor and in what."""

import dataclasses

import keras
import model_kinds
import numpy as np
import pytest
import sample_files
from ai_edge_litert import schema_py_generated as schema
from keras import layers

import keras_lottery as kl
from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import proof, verify
from keras_lottery.exporters.tflite.conversion.source import Built, prepare
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.runtimes import interpreter
from keras_lottery.exporters.tflite.targets import integer, size


@pytest.fixture(scope="module")
def integers():
    """A network, and its full integer file."""
    keras.utils.set_random_seed(0)
    stack = [keras.Input((300,)), layers.Dense(280, "relu"), layers.Dense(10, name="scores")]
    samples = np.random.default_rng(0).random((16, 300), np.float32)
    source = prepare(model_kinds.prune(keras.Sequential(stack), 0.9), samples)
    return source, integer.build(source, "int8")


def test_integers_are_exact_though_written_as_convolutions(integers):
    source, built = integers
    assert "CONV_2D" in tflite.inspect(built.data).inspection.operators
    assert "CONV_2D" not in tflite.inspect(built.dense_integers).inspection.operators
    assert proof.prove(built, source, "int8").exact


def test_integers_that_answer_otherwise_are_found(integers):
    source, built = integers
    dense = flatbuffer.read(built.dense_integers)
    [bias] = [t for _, _, t in flatbuffer.constants(dense) if list(t.shape) == [10]]
    values = flatbuffer.stored(dense, bias).copy()
    values[3] += 1000
    dense.buffers[bias.buffer].data = values.view(np.uint8)
    other = dataclasses.replace(built, dense_integers=flatbuffer.write(dense))
    match = "'scores' in XNNPACK differs from the same integers stored densely in 16 of 160 values"
    with pytest.raises(tflite.ExportError, match=match):
        proof.prove(other, source, "int8")


def test_the_outputs_of_integers_have_the_names_of_keras(integers):
    _, built = integers
    main = flatbuffer.read(built.data).subgraphs[0]
    assert main.tensors[main.outputs[0]].name == b"scores"


def test_a_custom_operator_is_found():
    model = sample_files.dense_network()
    source = prepare(model)
    file = flatbuffer.read(source.dense_data)
    code = file.operatorCodes[file.subgraphs[0].operators[-1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"FlexErf"
    built = Built(flatbuffer.write(file), {}, "float32")
    with pytest.raises(tflite.ExportError, match="is computed by FlexErf, which is not a built-in"):
        proof.prove(built, source, "size")


def test_a_block_that_does_not_divide_its_axis_is_found():
    """TensorFlow drops the rest of each row; here it holds nothing but zeros."""
    model = sample_files.dense_network(inputs=66, hidden=64, block=4, sparsity=0.95)
    kernel = model.layers[0].kernel.numpy()
    kernel[64:] = 0
    model.layers[0].kernel.assign(kernel)
    data = sample_files.stock.convert(model, "float32")
    match = "is stored wrongly for every runtime: Blocks of 4 along an axis of 66"
    with pytest.raises(tflite.ExportError, match=match):
        proof.prove(Built(data, {}, "float32"), prepare(model), "size")


def convolutional():
    keras.utils.set_random_seed(0)
    stack = [keras.Input((9, 9, 3)), layers.Conv2D(8, 3, name="conv"), layers.Flatten()]
    return keras.Sequential([*stack, layers.Dense(5, name="fc")])


def test_weights_are_compared_with_the_masks():
    """Not only with the zeros of the conversion: here that of the model before it was pruned."""
    model = convolutional()
    before = prepare(model).dense_data
    kl.Lottery(model).prune(0.9)
    source = dataclasses.replace(prepare(model), dense_data=before)
    with pytest.raises(tflite.ExportError, match="'conv/kernel' has 194 pruned weights"):
        verify.check_weights(source, flatbuffer.read(before))


def test_a_weight_that_is_alive_may_be_zero(tmp_path):
    model = convolutional()
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    kernel = model.get_layer("fc").kernel
    kernel.assign(kernel * np.array([1, 1, 0, 1, 1]))
    report = tflite.export(model, tmp_path / "x.tflite")
    assert report.inspection.sparsity > lottery.sparsity


def test_a_file_that_never_ends_is_given_up(tmp_path, monkeypatch):
    loop = tmp_path / "loop.py"
    loop.write_text("while True: pass")
    monkeypatch.setattr(interpreter, "__file__", str(loop))
    monkeypatch.setattr(interpreter, "_LOADING_LIMIT", 0.5)
    monkeypatch.setattr(interpreter, "_EXAMPLE_LIMIT", 0.0)
    source = prepare(sample_files.dense_network())
    match = "XNNPACK cannot run the exported file: it did not finish in 3 s"
    with pytest.raises(tflite.ExportError, match=match):
        proof.prove(size.build(source, "float32"), source, "size")


def test_a_convolution_that_a_normalisation_multiplies_by_zero(tmp_path):
    """As a residual block starts."""
    image = keras.Input((8, 8, 8))
    branch = layers.Conv2D(8, 3, padding="same")(image)
    branch = layers.BatchNormalization(gamma_initializer="zeros")(branch)
    x = layers.GlobalAveragePooling2D()(layers.Add()([image, branch]))
    model = keras.Model(image, layers.Dense(3)(x))
    for layer in (model.layers[1], model.layers[-1]):
        layer.kernel.assign(layer.kernel * (keras.ops.abs(layer.kernel) > 0.05))
    assert max(tflite.export(model, tmp_path / "x.tflite").proof.errors.values()) < 1e-5


def test_a_kernel_that_is_no_constant_is_refused(tmp_path):
    dense = layers.Dense(16, name="fc1")
    model = keras.Sequential([keras.Input((20,)), dense])
    model_kinds.prune(model)
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones((2, 16)))
    with pytest.raises(tflite.ExportError, match=r"'fc1/kernel' .* LoRA has to be merged first"):
        tflite.export(model, tmp_path / "x.tflite")


def a_table(scale_of_unused_rows):
    """Five of its ten rows are looked up by the samples that come with it."""
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Flatten()(layers.Embedding(10, 8, name="table")(tokens))
    model = keras.Model(tokens, layers.Dense(3)(x))
    rows = np.random.default_rng(0).uniform(-1, 1, (10, 8))
    rows[5:] *= scale_of_unused_rows
    model.get_layer("table").embeddings.assign(rows)
    return model, np.random.default_rng(0).integers(0, 5, (50, 6))


def test_a_table_that_integers_would_clip_is_refused(tmp_path):
    model, samples = a_table(scale_of_unused_rows=8)
    with pytest.raises(tflite.ExportError, match="do not look up every row of 'table/embeddings'"):
        tflite.export(model, tmp_path / "x.tflite", target="int8", samples=samples)


def test_a_table_whose_other_rows_are_smaller_is_not(tmp_path):
    model, samples = a_table(scale_of_unused_rows=0.5)
    report = tflite.export(model, tmp_path / "x.tflite", target="int8", samples=samples)
    assert report.proof.exact


class TrainingOnly(keras.Model):
    """Has a head that inference does not use, as large as no other kernel is."""

    def __init__(self):
        super().__init__()
        self.body, self.head = layers.Dense(32, name="body"), layers.Dense(1, name="head")
        self.aux = layers.Dense(4, name="aux")

    def call(self, x, training=False):
        x = self.body(x)
        return (self.head(x), self.aux(x)) if training else self.head(x)


def test_a_kernel_that_inference_does_not_use_is_named_in_a_note(tmp_path):
    model = TrainingOnly()
    model(np.zeros((2, 20), np.float32), training=True)
    kl.Lottery(model).prune(0.5)
    report = tflite.export(model, tmp_path / "x.tflite")
    assert "The file has no 'aux/kernel': the model reads it in training only." in report.notes
    assert {w.name for w in report.inspection.weights} == {"body/kernel", "head/kernel"}


@pytest.mark.parametrize("other", ["zero", "equal"])
def test_another_kernel_does_not_excuse_one_that_is_alive_in_the_file(other, tmp_path):
    image, pruned, twin = keras.Input((8,)), layers.Dense(8, name="a"), layers.Dense(8, name="b")
    model = keras.Model(image, [pruned(image), twin(image)])
    model_kinds.prune(model)
    twin.kernel.assign(pruned.kernel * (other == "equal"))
    pruned.enable_lora(2)
    pruned.lora_kernel_b.assign(np.ones((2, 8)))
    with pytest.raises(
        tflite.ExportError, match=r"'[ab]/kernel' has pruned weights and is no constant"
    ):
        tflite.export(model, tmp_path / "x.tflite")


def test_a_table_is_calibrated_on_every_sample(tmp_path):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Flatten()(layers.Embedding(3000, 2)(tokens))
    model = keras.Model(tokens, layers.Dense(3)(x))
    samples = np.arange(3000).reshape(500, 6)
    report = tflite.export(model, tmp_path / "x.tflite", target="int8", samples=samples)
    assert report.proof.exact
