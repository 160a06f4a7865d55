"""The target `micro`: the same integers in fewer bytes, for a runtime that knows the operators."""

import keras
import model_kinds
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import inspection
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.format import edit, flatbuffer
from keras_lottery.exporters.tflite.rewriting import bitmask, rewritable
from keras_lottery.exporters.tflite.runtimes import interpreter
from keras_lottery.exporters.tflite.targets import integer, micro

needs_interpreter = pytest.mark.skipif(
    not micro.is_installed(),
    reason="tflite-micro is not installed: pip install 'keras_lottery[micro]', or make test-micro",
)


@pytest.fixture(scope="module")
def source():
    """A network for images, and samples of them."""
    keras.utils.set_random_seed(0)
    stack = [
        keras.Input((12, 12, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(100, "relu"),
        layers.Dense(10, "softmax", name="output"),
    ]
    samples = np.random.default_rng(0).random((16, 12, 12, 1), np.float32)
    return prepare(model_kinds.prune(keras.Sequential(stack), 0.9), samples)


def test_bitmasks_decode_to_the_same_integers(source):
    built = micro.build(source, "int8")
    found = inspection.read(built.data)
    assert bitmask.DECODE in found.operators
    assert not {"DENSIFY", "DEQUANTIZE"} & set(found.operators)
    assert len(built.data) < len(built.dense_integers) / 2
    before, after = (
        {each.tensor.name: each.values for each in rewritable.find(flatbuffer.read(data), kind=9)}
        for data in (built.dense_integers, bitmask.with_decoded_masks(built.data))
    )
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("build", [integer.build, micro.build])
def test_no_tensor_and_no_file_of_integers_grows(sparsity, build):
    stack = [keras.Input((48,)), layers.Dense(40), layers.Dense(3)]
    model = model_kinds.prune(keras.Sequential(stack), sparsity)
    samples = np.random.default_rng(0).random((8, 48), np.float32)
    built = build(prepare(model, samples), "int8")
    assert len(built.data) <= len(built.dense_integers)
    for weight in inspection.read(built.data).weights:
        assert weight.stored_bytes <= weight.dense_bytes


def test_a_table_with_an_offset_is_stored_densely():
    """The runtime would fill the gaps of its bitmask with the offset."""
    model = model_kinds.prune(model_kinds.embedding())
    samples = np.random.default_rng(0).integers(0, 80, (200, 6))
    full = integer.quantized(prepare(model, samples), kind="int8")
    reasons = micro.encode(full)
    assert "1,280 bytes; its zero is not stored as zero" in reasons.values()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda x: keras.ops.sign(x), "lacks SIGN, which computes '.*'.$"),
        (lambda x: layers.Activation("gelu", name="bend")(x), "GELU, which the layer 'bend' needs"),
        (
            lambda x: layers.RepeatVector(3, name="copies")(x),
            "TILE, which the layer 'copies' needs",
        ),
    ],
    ids=["operation", "activation", "layer"],
)
def test_operators_that_the_runtime_lacks_are_named_with_their_layers(make, match):
    image = keras.Input((8,))
    model = keras.Model(image, make(layers.Dense(8)(image)))
    samples = np.random.default_rng(0).random((8, 8), np.float32)
    with pytest.raises(tflite.ExportError, match=match):
        micro.build(prepare(model_kinds.prune(model), samples), "int8")


def test_all_operators_that_the_runtime_lacks_are_named_at_once():
    image = keras.Input((8,))
    x = layers.Activation("gelu", name="bend")(layers.Dense(8)(image))
    model = keras.Model(image, layers.RepeatVector(3, name="copies")(x))
    samples = np.random.default_rng(0).random((8, 8), np.float32)
    match = "GELU, which the layer 'bend' needs, and TILE, which the layer 'copies' needs"
    with pytest.raises(tflite.ExportError, match=match):
        micro.build(prepare(model_kinds.prune(model), samples), "int8")


def test_select_is_written_as_select_v2(tmp_path):
    """Keras looks rows up from the end for negative indices, and selects which it was."""
    tokens = keras.Input((5,), dtype="int32")
    table = layers.Embedding(12, 6, mask_zero=False)(tokens)
    model = keras.Model(tokens, layers.Dense(3)(layers.GlobalMaxPooling1D()(table)))
    samples = np.random.default_rng(0).integers(-12, 12, (60, 5))
    report = tflite.export(
        model_kinds.prune(model, 0.5), tmp_path / "x.tflite", target="micro", samples=samples
    )
    assert report.proof.exact
    assert "SELECT" not in report.inspection.operators
    assert report.inspection.operators["SELECT_V2"] == 1


def selection(condition, operands):
    """A file that selects between two inputs of a shape."""
    file, subgraph = schema.ModelT(), schema.SubGraphT()
    file.version, file.subgraphs = 3, [subgraph]
    file.operatorCodes, file.buffers, subgraph.tensors = [], [schema.BufferT()], []
    edit.add_tensor(file, subgraph, condition, schema.TensorType.BOOL)
    for _ in range(3):
        edit.add_tensor(file, subgraph, operands, schema.TensorType.FLOAT32)
    subgraph.inputs, subgraph.outputs = np.arange(3, dtype=np.int32), np.array([3], np.int32)
    builtin, options = schema.BuiltinOperator.SELECT, schema.SelectOptionsT()
    subgraph.operators = [edit.operator(file, builtin, [0, 1, 2], [3], options=options)]
    return file


@pytest.mark.parametrize(
    ("condition", "operands"), [((2, 3), (2, 3)), ((3,), (3, 3)), ((2,), (2, 3)), ((2,), (2, 3, 2))]
)
def test_select_v2_selects_the_same(condition, operands):
    """Of one condition for each row, where SELECT_V2 would take it for one for each column."""
    model = selection(condition, operands)
    rng = np.random.default_rng(0)
    first, second = rng.random((2, *operands), np.float32)
    chosen = rng.random(condition) < 0.5
    before = invoke_once(flatbuffer.write(model), [chosen, first, second])
    micro.rename_operators(model)
    after = invoke_once(flatbuffer.write(model), [chosen, first, second])
    np.testing.assert_array_equal(before, after)
    rows = chosen.reshape(*condition, *[1] * (len(operands) - len(condition)))
    np.testing.assert_array_equal(after, np.where(rows, first, second))


def invoke_once(data, inputs):
    from ai_edge_litert.interpreter import Interpreter

    runtime = Interpreter(model_content=data)
    runtime.allocate_tensors()
    for detail, array in zip(runtime.get_input_details(), inputs, strict=True):
        runtime.set_tensor(detail["index"], array)
    runtime.invoke()
    return runtime.get_tensor(runtime.get_output_details()[0]["index"])


@needs_interpreter
def test_a_file_runs_in_tensorflow_lite_micro_to_the_bit(source, tmp_path):
    path = tmp_path / "model.tflite"
    report = tflite.export(source.model, path, target="micro", samples=source.samples)
    assert set(report.proof.errors) == {*interpreter.RUNTIMES, interpreter.MICRO}
    assert report.proof.exact


@needs_interpreter
@pytest.mark.parametrize("name", sorted(micro.OPERATORS))
def test_the_runtime_has_the_operator(name, capfd):
    """It looks up the operators of a file in their order, and ends at the first that it lacks."""
    from tflite_micro.python.tflite_micro import runtime

    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(file_of(name, "DENSIFY"))
    assert "Didn't find op for builtin opcode 'DENSIFY'" in capfd.readouterr().err


def file_of(*names):
    """A file whose operators have these names, and no sense."""
    file, subgraph = schema.ModelT(), schema.SubGraphT()
    file.version, file.subgraphs = 3, [subgraph]
    file.operatorCodes, file.buffers, subgraph.tensors = [], [schema.BufferT()], []
    edit.add_tensor(file, subgraph, [1], schema.TensorType.FLOAT32)
    subgraph.inputs = subgraph.outputs = np.zeros(1, np.int32)
    variable = schema.VarHandleOptionsT()
    subgraph.operators = [
        edit.operator(
            file,
            getattr(schema.BuiltinOperator, name),
            [0],
            [0],
            options=variable if name == "VAR_HANDLE" else None,
        )
        for name in names
    ]
    return flatbuffer.write(file)
