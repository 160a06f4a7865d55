"""Tables of int8: GATHER looks rows up as integers, and DEQUANTIZE follows it."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, levels
from keras_lottery.exporters.tflite.rewriting import forms
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight

# The versions of GATHER that know int8, and of DEQUANTIZE.
_GATHER = 2
_DEQUANTIZE = 2


def cost(weight: Weight) -> int:
    """The bytes that `write` adds to a file at most, beside those of the `Form`."""
    return (len(weight.operators) - 1) * forms.OPERATOR_BYTES


def write(file: schema.ModelT, weight: Weight, form: forms.Form) -> None:
    """Stores a table in int8, with a DEQUANTIZE operator behind each lookup.

    Args:
        file: The `ModelT`, changed in place.
        weight: The `Weight`, a float32 constant so far that GATHER operators read.
        form: The `forms.Form`, of int8 values with one scale.
    """
    subgraph, table = weight.subgraph, weight.tensor
    table.type = schema.TensorType.INT8
    table.quantization = form.quantization
    table.buffer = edit.add_buffer(file, form.values)
    for _, gather in weight.operators:
        rows = int(gather.outputs[0])
        shape = levels.shape(subgraph.tensors[rows])
        integers = edit.add_tensor(file, subgraph, shape, schema.TensorType.INT8)
        subgraph.tensors[integers].quantization = table.quantization
        gather.outputs = np.array([integers], np.int32)
        builtin = schema.BuiltinOperator
        gather.opcodeIndex = edit.operator_code(file, builtin.GATHER, _GATHER)
        place = subgraph.operators.index(gather) + 1
        real = edit.operator(file, builtin.DEQUANTIZE, [integers], [rows], _DEQUANTIZE)
        subgraph.operators.insert(place, real)
    if form.plan is not None:
        forms.densify(file, subgraph, weight.index, form.values, form.plan)
