"""The conditions of XNNPACK's sparse path, each broken in turn."""

import re

import keras
import numpy as np
import pytest
import sample_files
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite import inspection, report, stored_weight
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.runtimes import xnnpack


@pytest.fixture
def model():
    return flatbuffer.read(sample_files.separable_file())


def operators(model, name):
    graph = Graph(model, model.subgraphs[0])
    return [operator for operator in graph.subgraph.operators if graph.name(operator) == name]


def weights_of(model, operator):
    graph = Graph(model, model.subgraphs[0])
    return graph.tensor(graph.constant_behind(graph.input(operator, 1)))


def pointwise(model):
    return next(op for op in operators(model, "CONV_2D") if weights_of(model, op).shape[1] == 1)


def stem(model):
    return next(op for op in operators(model, "CONV_2D") if weights_of(model, op).shape[1] == 3)


def test_a_network_that_meets_every_condition(model):
    path = xnnpack.sparse_path(model)
    assert path.taken
    assert len(path.weights) == 1
    assert path.zeros == pytest.approx(0.8, abs=0.02)
    found = inspection.read(flatbuffer.write(model)).weights
    assert [w.computed for w in found].count(stored_weight.SPARSE_WITHOUT_AVX) == 1


def test_an_operator_without_a_name_is_told_by_its_number(model):
    number = int(stem(model).outputs[0])
    stem(model).builtinOptions.dilationHFactor = 2
    model.subgraphs[0].tensors[number].name = b""
    [failure] = xnnpack.sparse_path(model).structure
    assert failure == f"tensor {number}: a dilated convolution"


def test_a_network_without_1x1_convolutions_has_nothing_to_gain():
    file = flatbuffer.read(sample_files.stock_file("float32"))
    assert xnnpack.sparse_path(file) is None


def test_a_dense_file_never_switches():
    path = xnnpack.sparse_path(flatbuffer.read(sample_files.dense_separable_file()))
    assert path.structure == ()
    assert path.weights == ("pointwise/kernel",)
    assert path.storage == ("no weight is stored sparsely (goes through DENSIFY)",)


def test_two_thirds_zeros_are_not_enough(model):
    tensor = weights_of(model, pointwise(model))
    # Of 128 weights 85 are zero, one fewer than needed; XNNPACK does not mind dense storage.
    tensor.sparsity = None
    values = np.zeros(128, np.float32)
    values[:43] = 1
    model.buffers[tensor.buffer].data = values.view(np.uint8)
    assert "66.4% of the 1x1 weights are zero" in xnnpack.sparse_path(model).storage[0]
    values[42] = 0
    model.buffers[tensor.buffer].data = values.view(np.uint8)
    assert xnnpack.sparse_path(model).taken


def no_stem(model):
    stem(model).builtinOptions.strideH = stem(model).builtinOptions.strideW = 1


def same_padding_stem(model):
    stem(model).builtinOptions.padding = schema.Padding.SAME


def dilated(model):
    pointwise(model).builtinOptions.dilationHFactor = 2


def strided_pointwise(model):
    pointwise(model).builtinOptions.strideH = pointwise(model).builtinOptions.strideW = 2


def strided_depthwise(model):
    options = operators(model, "DEPTHWISE_CONV_2D")[0].builtinOptions
    options.strideH = options.strideW = 2


def valid_depthwise(model):
    operators(model, "DEPTHWISE_CONV_2D")[0].builtinOptions.padding = schema.Padding.VALID


def multiplier(model):
    operators(model, "DEPTHWISE_CONV_2D")[0].builtinOptions.depthMultiplier = 2


def integer(model):
    output = model.subgraphs[0].tensors[pointwise(model).outputs[0]]
    output.type = schema.TensorType.INT8


def another_reader(model):
    graph = model.subgraphs[0]
    graph.outputs = np.append(graph.outputs, pointwise(model).outputs[0])


def max_pooling(model):
    depthwise = operators(model, "DEPTHWISE_CONV_2D")[0]
    code = schema.OperatorCodeT(
        deprecatedBuiltinCode=schema.BuiltinOperator.MAX_POOL_2D,
        builtinCode=schema.BuiltinOperator.MAX_POOL_2D,
    )
    model.operatorCodes.append(code)
    depthwise.opcodeIndex = len(model.operatorCodes) - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_stem, r"a 3x3 convolution of strides \(1, 1\)"),
        (same_padding_stem, "'same' at stride 2"),
        (dilated, "a dilated convolution"),
        (strided_pointwise, r"a 1x1 convolution of strides \(2, 2\)"),
        (strided_depthwise, "'same' at stride 2"),
        (valid_depthwise, "it needs 1 on every side"),
        (multiplier, "multiplier 2"),
        (integer, "does not compute in float"),
        (another_reader, "an output of the network as well"),
        (max_pooling, "MAX_POOL_2D has no channels-first kernel"),
    ],
)
def test_each_condition_is_named_where_it_fails(model, change, message):
    change(model)
    path = xnnpack.sparse_path(model)
    assert not path.taken
    [failure] = path.structure
    assert re.search(message, failure)


def test_every_obstacle_is_named(model):
    same_padding_stem(model)
    multiplier(model)
    assert len(xnnpack.sparse_path(model).structure) == 2


def test_without_global_pooling(model):
    operators(model, "MEAN")[0].inputs = operators(model, "MEAN")[0].inputs[:1]
    assert xnnpack.sparse_path(model).structure == (
        "nothing ends the convolutions: no reduction of a feature map, no DEPTH_TO_SPACE",
    )


def depth_to_space(model):
    mean = operators(model, "MEAN")[0]
    mean.inputs = mean.inputs[:1]
    return schema.BuiltinOperator.DEPTH_TO_SPACE


def a_sum(model):
    return schema.BuiltinOperator.SUM


def mean_over_channels(model):
    axes = model.subgraphs[0].tensors[operators(model, "MEAN")[0].inputs[1]]
    axes.shape = np.array([1], np.int32)
    model.buffers[axes.buffer].data = np.array([3], np.int32).view(np.uint8)
    return schema.BuiltinOperator.MEAN


@pytest.mark.parametrize("change", [depth_to_space, a_sum, mean_over_channels])
def test_other_ends_of_the_stretch(model, change):
    end, code = operators(model, "MEAN")[0], change(model)
    model.operatorCodes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code))
    end.opcodeIndex = len(model.operatorCodes) - 1
    assert xnnpack.sparse_path(model).taken


def test_a_maximum_ends_nothing(model):
    code = schema.BuiltinOperator.REDUCE_MAX
    model.operatorCodes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code))
    operators(model, "MEAN")[0].opcodeIndex = len(model.operatorCodes) - 1
    assert "nothing ends" in xnnpack.sparse_path(model).structure[0]


@pytest.mark.long
def test_mobilenet_v2_of_keras_does_not_qualify_and_the_report_says_why():
    """Its strided convolutions pad below and on the right only."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)
    data = prepare(network).dense_data
    path = xnnpack.sparse_path(flatbuffer.read(data))
    assert not path.taken
    text = str(report.build(data))
    assert "Not taken, anywhere:" in text
    assert "'same' at stride 2" in text
