"""Biases in float16 for operators with weights in float16.

LiteRT takes float32 biases beside them as well; the XNNPACK in TensorFlow 2.21 then gives NaN.
"""

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, flatbuffer
from keras_lottery.exporters.tflite.rewriting import quantize, storage


def cost(model, weight):
    """The bytes that `rewrite` adds to a file at most; infinite if it cannot be done.

    Args:
        model: The `ModelT`.
        weight: The `weights.Weight` that the biases belong to.
    """
    total = 0
    for _, operator in weight.operators:
        index = _index(weight, operator)
        if index is not None:
            halves = _halves(model, weight, index)
            total += math.inf if halves is None else storage.OPERATOR_BYTES + halves.nbytes
    return total


def rewrite(model, weight, operators):
    """Gives operators their biases in float16.

    Args:
        model: The `ModelT`, changed in place.
        weight: The `weights.Weight` that the biases belong to.
        operators: Those that read the weight now.
    """
    for operator in operators:
        index = _index(weight, operator)
        if index is None:
            continue
        halves = _halves(model, weight, index)
        # Another operator may go on reading the float32 one.
        inputs = np.array(operator.inputs)
        kind = schema.TensorType.FLOAT32
        inputs[weight.bias] = edit.add_tensor(model, weight.subgraph, halves.shape, kind)
        operator.inputs = inputs
        form = storage.Storage("float16", halves, None, 0, None)
        storage.store(model, weight.subgraph, inputs[weight.bias], form)


def _index(weight, operator):
    """The index of the operator's bias, or `None` if it has none."""
    if weight.bias is None or len(operator.inputs) <= weight.bias:
        return None
    index = int(operator.inputs[weight.bias])
    return index if index >= 0 else None


def _halves(model, weight, index):
    return quantize.to_float16(flatbuffer.dense(model, weight.subgraph.tensors[index]))
