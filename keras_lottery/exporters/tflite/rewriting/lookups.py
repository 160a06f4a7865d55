"""Tables whose rows are looked up in int8, and dequantized when they have been looked up."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, levels
from keras_lottery.exporters.tflite.rewriting import storage

# The versions of GATHER that know int8, and of DEQUANTIZE.
_GATHER = 2
_DEQUANTIZE = 2


def cost(weight):
    """The bytes that `store` adds to a file at most beside what its `Storage` says."""
    return (len(weight.operators) - 1) * storage.OPERATOR_BYTES


def store(model, weight, form):
    """Stores a table in int8, with a DEQUANTIZE operator behind each lookup.

    Args:
        model: The `ModelT`, changed in place.
        weight: The `weights.Weight`, a float32 constant so far that GATHER operators read.
        form: The `storage.Storage`, of int8 values with one scale.
    """
    subgraph, table = weight.subgraph, weight.tensor
    table.type = schema.TensorType.INT8
    table.quantization = storage.quantization(form.scales, axis=0)
    table.buffer = edit.add_buffer(model, form.values)
    for _, gather in weight.operators:
        rows = int(gather.outputs[0])
        shape = levels.shape(subgraph.tensors[rows])
        integers = edit.add_tensor(model, subgraph, shape, schema.TensorType.INT8)
        subgraph.tensors[integers].quantization = table.quantization
        gather.outputs = np.array([integers], np.int32)
        builtin = schema.BuiltinOperator
        gather.opcodeIndex = edit.operator_code(model, builtin.GATHER, _GATHER)
        place = subgraph.operators.index(gather) + 1
        real = edit.operator(model, builtin.DEQUANTIZE, [integers], [rows], _DEQUANTIZE)
        subgraph.operators.insert(place, real)
    if form.plan:
        storage.densify(model, subgraph, weight.index, form.values, form.plan)
