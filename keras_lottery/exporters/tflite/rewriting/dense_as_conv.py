"""A fully connected operator written as a convolution, which is exact and can be stored smaller.

A Dense kernel of shape (outputs, inputs) with more than 256 of both needs indices of two bytes.
The same numbers in the same order are a convolution's kernel of shape (outputs, k, 1, inputs / k),
over an input of height k. Its last axis has at most 256 indices, of one byte.
"""

import math
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, levels

# What the reshapes before and after the convolution, and a bias, add to a file at most.
RESHAPES_BYTES = 360
BIAS_BYTES = 100

# The versions of the convolution that know the type.
_VERSIONS = {schema.TensorType.FLOAT32: 1, schema.TensorType.INT8: 3}


def cost(operator: schema.OperatorT, outputs: int, value_bytes: int = 4) -> int:
    """The bytes that `rewrite` adds to a file at most, the weight aside.

    Args:
        operator: The fully connected operator.
        outputs: How many outputs it has.
        value_bytes: The bytes of one value of a bias, with its scale where it has one.
    """
    return RESHAPES_BYTES + (0 if _has_bias(operator) else value_bytes * outputs + BIAS_BYTES)


def kernel_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """The shape of a Dense kernel when it is written as a convolution's.

    Args:
        shape: `(outputs, inputs)`.

    Returns:
        `(outputs, k, 1, inputs / k)` with the smallest k that leaves a last axis of at most 256.

    >>> kernel_shape((300, 784))
    (300, 4, 1, 196)
    """
    outputs, inputs = shape
    height = next(k for k in range(-(-inputs // 256), inputs + 1) if inputs % k == 0)
    return outputs, height, 1, inputs // height


def rewrite(
    file: schema.ModelT,
    subgraph: schema.SubGraphT,
    operator: schema.OperatorT,
    shape: Sequence[int],
) -> schema.OperatorT:
    """Replaces a fully connected operator by a reshape, a convolution and a reshape.

    Args:
        file: The `ModelT`, changed in place.
        subgraph: The operator's subgraph.
        operator: The operator. Its weight may be stored in any form.
        shape: The convolution's kernel shape, see `kernel_shape`.

    Returns:
        The convolution.
    """
    read, weight = (int(index) for index in operator.inputs[:2])
    (written,) = (int(index) for index in operator.outputs)
    tensors = subgraph.tensors
    tensors[weight].shape = list(shape)
    rows = math.prod(levels.shape(tensors[read])) // math.prod(shape[1:])

    def shaped(like: int, new_shape: Sequence[int]) -> int:
        index = edit.add_tensor(file, subgraph, new_shape, tensors[like].type)
        tensors[index].quantization = tensors[like].quantization
        return index

    image = shaped(read, (rows, *shape[1:]))
    pixel = shaped(written, (rows, 1, 1, shape[0]))
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = 1
    options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
    convolution = edit.operator(
        file,
        schema.BuiltinOperator.CONV_2D,
        [image, weight, _bias(file, subgraph, operator, shape[0])],
        [pixel],
        _VERSIONS[tensors[read].type],
        options,
    )
    place = subgraph.operators.index(operator)
    subgraph.operators[place : place + 1] = [
        _reshape(file, subgraph, read, image),
        convolution,
        _reshape(file, subgraph, pixel, written),
    ]
    return convolution


def _has_bias(operator: schema.OperatorT) -> bool:
    return len(operator.inputs) > 2 and operator.inputs[2] >= 0


def _bias(
    file: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT, channels: int
) -> int:
    """The index of the operator's bias, or of new zeros: a convolution needs a bias."""
    if _has_bias(operator):
        return int(operator.inputs[2])
    read, weight = (subgraph.tensors[index] for index in operator.inputs[:2])
    if read.type != schema.TensorType.INT8:
        zeros = np.zeros(channels, np.float32)
        return edit.add_tensor(file, subgraph, zeros.shape, schema.TensorType.FLOAT32, zeros)
    integers = np.zeros(channels, np.int32)
    index = edit.add_tensor(file, subgraph, integers.shape, schema.TensorType.INT32, integers)
    parameters = schema.QuantizationParametersT()
    parameters.scale = np.float32(read.quantization.scale * weight.quantization.scale)
    parameters.zeroPoint = np.zeros(len(parameters.scale), np.int64)
    subgraph.tensors[index].quantization = parameters
    return index


def _reshape(
    file: schema.ModelT, subgraph: schema.SubGraphT, read: int, written: int
) -> schema.OperatorT:
    options = schema.ReshapeOptionsT()
    options.newShape = list(levels.shape(subgraph.tensors[written]))
    builtin = schema.BuiltinOperator.RESHAPE
    return edit.operator(file, builtin, [read], [written], options=options)
