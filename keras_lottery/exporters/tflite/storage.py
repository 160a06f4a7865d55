"""How one weight is stored: in which precision, sparsely or not, and what that costs.

`choices(values, axis, precision) -> list of Storage`, `store(model, subgraph, index, storage)`. The
operators that use a weight do not change: what was a constant becomes the output of DENSIFY and
DEQUANTIZE operators, which the runtimes run once, when they load the file.
"""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite import edit, encode, levels, quantize

# What an operator with its tensor adds to a file at most, and what sparsity parameters do beside
# their segments and indices. Both are measured by the tests.
OPERATOR_BYTES = 160
SPARSITY_BYTES = 240

_KINDS = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
}

# The versions of DEQUANTIZE that know the type, and a scale for each channel.
_DEQUANTIZE = {"float16": 3, "int8": 5}


@dataclass(frozen=True)
class Storage:
    """A weight as it could be stored.

    Attributes:
        precision: `"float32"`, `"float16"` or `"int8"`.
        values: The array in that precision.
        scales: For int8, one scale or one for each index of `axis`; otherwise `None`.
        axis: The axis of the output channels.
        plan: How the array is stored sparsely, an `encode.Plan`; `None` for densely.
    """

    precision: str
    values: np.ndarray
    scales: np.ndarray | None
    axis: int
    plan: encode.Plan | None

    @property
    def bytes(self):
        """What the weight takes in the file, with the operators that unpack it."""
        total = self.values.nbytes
        if self.plan:
            total = self.plan.bytes + SPARSITY_BYTES + OPERATOR_BYTES
        if self.precision != "float32":
            total += OPERATOR_BYTES
        if self.scales is not None:
            total += 12 * self.scales.size  # with its zero point, eight bytes wide
        return total


def choices(values, axis, precision):
    """The ways to store a weight: in float32 or the precision given, densely or sparsely.

    Args:
        values: The weight, float32.
        axis: The axis of its output channels.
        precision: `"float32"`, `"float16"` or `"int8"`.

    Returns:
        A list of `Storage`.
    """
    dense = [Storage("float32", values, None, axis, None)]
    if precision == "float16" and (halves := quantize.to_float16(values)) is not None:
        dense.append(Storage("float16", halves, None, axis, None))
    if precision == "int8":
        dense.append(Storage("int8", *quantize.to_int8(values, axis), axis, None))
    return dense + [sparse(storage) for storage in dense]


def sparse(storage):
    """The same values stored sparsely, at the fewest bytes."""
    plan = encode.cheapest(storage.values, storage.values.itemsize)
    return Storage(storage.precision, storage.values, storage.scales, storage.axis, plan)


def store(model, subgraph, index, storage):
    """Stores a weight that is a plain constant so far.

    Args:
        model: The `ModelT`, changed in place.
        subgraph: The subgraph of the weight.
        index: The index of its tensor there. Operators go on reading this tensor.
        storage: The `Storage`, its values of the tensor's shape.
    """
    tensor, kind = subgraph.tensors[index], _KINDS[storage.precision]
    steps = []
    if storage.plan:
        steps.append((schema.BuiltinOperator.DENSIFY, 1))
    if storage.precision != "float32":
        steps.append((schema.BuiltinOperator.DEQUANTIZE, _DEQUANTIZE[storage.precision]))
    if not steps:
        return
    stored, sparsity = storage.values, None
    if storage.plan:
        stored, sparsity = encode.encode(storage.values, storage.plan)
    source = edit.add_tensor(model, subgraph, levels.shape(tensor), kind, stored, tensor.name)
    subgraph.tensors[source].sparsity = sparsity
    unpacking = []
    for number, (builtin, version) in enumerate(steps, start=1):
        if builtin == schema.BuiltinOperator.DEQUANTIZE and storage.scales is not None:
            # Only the tensor that is dequantised needs scales, not the one that is densified.
            subgraph.tensors[source].quantization = _quantization(storage)
        target = index
        if number < len(steps):
            target = edit.add_tensor(model, subgraph, levels.shape(tensor), kind)
        unpacking.append(edit.operator(model, builtin, [source], [target], version))
        source = target
    tensor.buffer, tensor.name = 0, None
    subgraph.operators[:0] = unpacking


def _quantization(storage):
    quantization = schema.QuantizationParametersT()
    quantization.scale = storage.scales
    quantization.zeroPoint = np.zeros(storage.scales.size, np.int64)
    quantization.quantizedDimension = storage.axis if storage.scales.size > 1 else 0
    return quantization
