"""How one weight is stored: in which precision, sparsely or not, and what that costs.

`choices` lists the ways, each with its bytes, and `store` takes one. The operators that use a
weight do not change: what was a constant becomes the output of DENSIFY and DEQUANTIZE operators,
which the runtimes run once, when they load the file.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, encoding, levels
from keras_lottery.exporters.tflite.rewriting import quantize

# What an operator with its tensor adds to a file at most, and what sparsity parameters do beside
# their segments and indices. Both are measured by the tests.
OPERATOR_BYTES = 200
SPARSITY_BYTES = 140

# A scale for int8 with its zero point, which is eight bytes wide.
SCALE_BYTES = 12

_KINDS = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
}

# What weights may be stored in.
PRECISIONS = tuple(_KINDS)

# Beside `PRECISIONS` a weight can be stored in int8 with a scale for each channel in any case.
BY_CHANNEL = "int8 by channel"

# What a weight takes instead if the file fails its proof, the next best first.
BETTER = {"float32": (), "float16": ("float32",), "int8": (BY_CHANNEL, "float16", "float32")}

# The versions of DEQUANTIZE that know the type, and a scale for each channel.
_DEQUANTIZE = {"float16": 3, "int8": 5}


@dataclass(frozen=True)
class Storage:
    """A weight as it could be stored.

    Attributes:
        precision: `"float32"`, `"float16"` or `"int8"`.
        values: The array in that precision.
        scales: For int8, one scale or one for each index of `axis`; otherwise `None`.
        axis: The axis of the output channels, if it has any.
        plan: How the array is stored sparsely, an `encoding.Plan`; `None` for densely.
        beside: The bytes of what this precision needs beside the weight.
    """

    precision: str
    values: np.ndarray
    scales: np.ndarray | None
    axis: int | None
    plan: encoding.Plan | None
    beside: float = 0

    @property
    def stored_bytes(self):
        """What its values and indices take."""
        return self.plan.bytes if self.plan else self.values.nbytes

    @property
    def bytes(self):
        """What the weight takes in the file, with the operators that unpack it."""
        total = self.stored_bytes + self.beside
        if self.plan:
            total += SPARSITY_BYTES + OPERATOR_BYTES
        if self.precision != "float32":
            total += OPERATOR_BYTES
        if self.scales is not None:
            total += SCALE_BYTES * self.scales.size
        return total


def described(stored, total):
    """The bytes of a weight in words: what is stored, and what unpacking it takes beside.

    >>> described(4900, 5240), described(1024, 1024)
    ('4,900 bytes and 340 to unpack it', '1,024 bytes')
    """
    beside = f" and {total - stored:,} to unpack it" if total > stored else ""
    return f"{stored:,} bytes{beside}"


def choices(values, axis, precision, beside=0):
    """The ways to store a weight: in float32 or the precision given, densely or sparsely.

    Args:
        values: The weight, float32.
        axis: The axis of its output channels; `None` for one scale in int8.
        precision: One of `PRECISIONS`, or `BY_CHANNEL`.
        beside: The bytes of what that precision needs beside the weight.

    Returns:
        A list of `Storage`.
    """
    whole = dense(values, axis, precision, beside)
    return whole + [sparse(storage) for storage in whole]


def dense(values, axis, precision, beside=0):
    """Those of the `choices` that store every value."""
    found = [Storage("float32", values, None, axis, None)]
    if precision == "float16" and (halves := quantize.to_float16(values)) is not None:
        found.append(Storage("float16", halves, None, axis, None, beside))
    if precision in ("int8", BY_CHANNEL):
        integers = quantize.to_int8(values, axis, always_by_channel=precision == BY_CHANNEL)
        found.append(Storage("int8", *integers, axis, None, beside))
    return found


def sparse(storage):
    """The same values stored sparsely, at the fewest bytes."""
    plan = encoding.cheapest(storage.values, storage.values.itemsize)
    return dataclasses.replace(storage, plan=plan)


def store(model, subgraph, index, storage):
    """Stores a weight that is a plain float32 constant so far.

    Args:
        model: The `ModelT`, changed in place.
        subgraph: The subgraph of the weight.
        index: The index of its tensor there. Operators go on reading this tensor.
        storage: The `Storage`, its values of the tensor's shape.
    """
    if storage.precision != "float32":
        index = _dequantize(model, subgraph, index, storage)
    if storage.plan:
        densify(model, subgraph, index, storage.values, storage.plan)


def densify(model, subgraph, index, values, plan):
    """Turns a constant into the output of a DENSIFY operator on its sparse form.

    Args:
        model: The `ModelT`, changed in place.
        subgraph: The subgraph of the constant.
        index: The index of its tensor there.
        values: The constant's values, of the tensor's shape and type.
        plan: The `encoding.Plan` to store them by.
    """
    tensor = subgraph.tensors[index]
    stored, sparsity = encoding.encode(values, plan)
    # The sparse form is never computed with, so it needs no scales.
    source = edit.add_tensor(
        model, subgraph, levels.shape(tensor), tensor.type, stored, tensor.name
    )
    subgraph.tensors[source].sparsity = sparsity
    tensor.buffer, tensor.name = 0, None
    operator = edit.operator(model, schema.BuiltinOperator.DENSIFY, [source], [index])
    subgraph.operators.insert(0, operator)


def _dequantize(model, subgraph, index, storage):
    """Turns a constant into the output of a DEQUANTIZE operator; the index of its new input."""
    tensor = subgraph.tensors[index]
    kind, version = _KINDS[storage.precision], _DEQUANTIZE[storage.precision]
    source = edit.add_tensor(
        model, subgraph, levels.shape(tensor), kind, storage.values, tensor.name
    )
    if storage.scales is not None:
        subgraph.tensors[source].quantization = quantization(storage.scales, storage.axis)
    tensor.buffer, tensor.name = 0, None
    builtin = schema.BuiltinOperator.DEQUANTIZE
    subgraph.operators.insert(0, edit.operator(model, builtin, [source], [index], version))
    return source


def quantization(scales, axis):
    """The schema's parameters for symmetric integers with one scale, or one for each channel."""
    parameters = schema.QuantizationParametersT()
    parameters.scale = scales
    parameters.zeroPoint = np.zeros(scales.size, np.int64)
    parameters.quantizedDimension = axis if scales.size > 1 else 0
    return parameters
