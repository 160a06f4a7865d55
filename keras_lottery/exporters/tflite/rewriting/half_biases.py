"""Biases in float16 for operators with weights in float16.

LiteRT also accepts float32 biases beside them, but the XNNPACK in TensorFlow 2.21 then gives NaN.
"""

import math
from collections.abc import Iterable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, flatbuffer
from keras_lottery.exporters.tflite.rewriting import forms, quantize
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight


def cost(file: schema.ModelT, weight: Weight) -> float:
    """The bytes that `rewrite` adds to a file at most; infinite if a bias is beyond float16.

    Args:
        file: The `ModelT`.
        weight: The `Weight` that the biases belong to.
    """
    total: float = 0
    for _, operator in weight.operators:
        index = _index(weight, operator)
        if index is not None:
            halves = _halves(file, weight, index)
            total += math.inf if halves is None else forms.OPERATOR_BYTES + halves.nbytes
    return total


def rewrite(file: schema.ModelT, weight: Weight, operators: Iterable[schema.OperatorT]) -> None:
    """Gives operators their biases in float16.

    Args:
        file: The `ModelT`, changed in place.
        weight: The `Weight` that the biases belong to, its `cost` finite.
        operators: The operators that read the weight now.
    """
    for operator in operators:
        index = _index(weight, operator)
        if index is None:
            continue
        halves = _halves(file, weight, index)
        assert halves is not None, "its cost was infinite"
        # Another operator may go on reading the float32 bias.
        inputs = np.array(operator.inputs)
        kind = schema.TensorType.FLOAT32
        bias = edit.add_tensor(file, weight.subgraph, halves.shape, kind)
        inputs[weight.bias] = bias
        operator.inputs = inputs
        form = forms.Form("float16", halves, None, 0, None)
        forms.write(file, weight.subgraph, bias, form)


def _index(weight: Weight, operator: schema.OperatorT) -> int | None:
    """The index of the operator's bias, or `None` if it has none."""
    if weight.bias is None or len(operator.inputs) <= weight.bias:
        return None
    index = int(operator.inputs[weight.bias])
    return index if index >= 0 else None


def _halves(file: schema.ModelT, weight: Weight, index: int) -> np.ndarray | None:
    return quantize.to_float16(flatbuffer.values(file, weight.subgraph.tensors[index]))
