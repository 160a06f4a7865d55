"""The forms in which a weight can be stored: a precision, sparsely or densely, and the bytes.

`possible` lists the forms, and `write` writes one. The operators that use a weight do not change:
the constant becomes the output of DENSIFY and DEQUANTIZE operators, which the runtimes run once,
when they load the file.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, encoding, levels
from keras_lottery.exporters.tflite.rewriting import quantize

# The most bytes that an operator with its tensor adds to a file, and that sparsity parameters do
# beside their segments and indices. The tests measure both.
OPERATOR_BYTES = 200
SPARSITY_BYTES = 140

# A scale for int8 with its zero point, which is eight bytes wide.
SCALE_BYTES = 12

_KINDS = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
}

# The precisions that weights may be stored in.
PRECISIONS = tuple(_KINDS)

# One more precision, which only a failed proof asks for: int8 with a scale for each channel.
BY_CHANNEL = "int8 by channel"

# The precisions that a weight takes instead if the file fails its proof, the next best first.
BETTER = {"float32": (), "float16": ("float32",), "int8": (BY_CHANNEL, "float16", "float32")}

# The versions of DEQUANTIZE that know the type, and a scale for each channel.
_DEQUANTIZE = {"float16": 3, "int8": 5}


@dataclass(frozen=True)
class Form:
    """One way to store one weight.

    Attributes:
        precision: `"float32"`, `"float16"` or `"int8"`.
        values: The array in that precision.
        scales: For int8, one scale or one for each index of `axis`; otherwise `None`.
        axis: The axis of the output channels, if it has any.
        plan: How the array is stored sparsely; `None` for densely.
        extra_bytes: The bytes of what this precision needs beside the weight.
    """

    precision: str
    values: np.ndarray
    scales: np.ndarray | None
    axis: int | None
    plan: encoding.Plan | None
    extra_bytes: float = 0

    @property
    def stored_bytes(self) -> int:
        """The bytes of its values and indices."""
        return self.plan.bytes if self.plan else self.values.nbytes

    @property
    def bytes(self) -> float:
        """The bytes that the weight takes in the file, with the operators that unpack it."""
        total = self.stored_bytes + self.extra_bytes
        if self.plan:
            total += SPARSITY_BYTES + OPERATOR_BYTES
        if self.precision != "float32":
            total += OPERATOR_BYTES
        if self.scales is not None:
            total += SCALE_BYTES * self.scales.size
        return total

    @property
    def quantization(self) -> schema.QuantizationParametersT | None:
        """The schema's parameters of its scales; `None` without scales."""
        return None if self.scales is None else quantization(self.scales, self.axis)


def described(stored: int, total: float) -> str:
    """The bytes of a weight in words: the stored ones, and those that unpacking it takes.

    >>> described(4900, 5240), described(1024, 1024)
    ('4,900 bytes and 340 to unpack it', '1,024 bytes')
    """
    unpacking = f" and {total - stored:,} to unpack it" if total > stored else ""
    return f"{stored:,} bytes{unpacking}"


def possible(
    values: np.ndarray, axis: int | None, precision: str, extra_bytes: float = 0
) -> list[Form]:
    """The forms of a weight: in float32 or the precision given, densely or sparsely.

    Args:
        values: The weight, float32.
        axis: The axis of its output channels; `None` for one scale in int8.
        precision: One of `PRECISIONS`, or `BY_CHANNEL`.
        extra_bytes: The bytes of what that precision needs beside the weight.

    Returns:
        A list of `Form`.
    """
    dense_forms = possible_dense(values, axis, precision, extra_bytes)
    return dense_forms + [_sparse(form) for form in dense_forms]


def possible_dense(
    values: np.ndarray, axis: int | None, precision: str, extra_bytes: float = 0
) -> list[Form]:
    """The `possible` forms that store every value."""
    found = [Form("float32", values, None, axis, None)]
    if precision == "float16" and (halves := quantize.to_float16(values)) is not None:
        found.append(Form("float16", halves, None, axis, None, extra_bytes))
    if precision in ("int8", BY_CHANNEL):
        integers = quantize.to_int8(values, axis, always_by_channel=precision == BY_CHANNEL)
        found.append(Form("int8", *integers, axis, None, extra_bytes))
    return found


def _sparse(form: Form) -> Form:
    """The same values stored sparsely, at the fewest bytes."""
    plan = encoding.cheapest(form.values, form.values.itemsize)
    return dataclasses.replace(form, plan=plan)


def write(file: schema.ModelT, subgraph: schema.SubGraphT, index: int, form: Form) -> None:
    """Writes a weight, so far a plain float32 constant, in a form.

    Args:
        file: The `ModelT`, changed in place.
        subgraph: The subgraph of the weight.
        index: The index of its tensor there, which operators go on reading.
        form: The form, its values in the tensor's shape.
    """
    if form.precision != "float32":
        index = _dequantize(file, subgraph, index, form)
    if form.plan is not None:
        densify(file, subgraph, index, form.values, form.plan)


def densify(
    file: schema.ModelT,
    subgraph: schema.SubGraphT,
    index: int,
    values: np.ndarray,
    plan: encoding.Plan,
) -> None:
    """Turns a constant into the output of a DENSIFY operator on its sparse form.

    Args:
        file: The `ModelT`, changed in place.
        subgraph: The subgraph of the constant.
        index: The index of its tensor there.
        values: The constant's values, of the tensor's shape and type.
        plan: The plan to store them by.
    """
    tensor = subgraph.tensors[index]
    stored, sparsity = encoding.encode(values, plan)
    # The sparse form is never computed with, so it needs no scales.
    packed = edit.add_tensor(file, subgraph, levels.shape(tensor), tensor.type, stored, tensor.name)
    subgraph.tensors[packed].sparsity = sparsity
    tensor.buffer, tensor.name = 0, None
    operator = edit.operator(file, schema.BuiltinOperator.DENSIFY, [packed], [index])
    subgraph.operators.insert(0, operator)


def _dequantize(file: schema.ModelT, subgraph: schema.SubGraphT, index: int, form: Form) -> int:
    """Turns a constant into the output of a DEQUANTIZE operator; returns the index of its input."""
    tensor = subgraph.tensors[index]
    kind, version = _KINDS[form.precision], _DEQUANTIZE[form.precision]
    narrow = edit.add_tensor(file, subgraph, levels.shape(tensor), kind, form.values, tensor.name)
    subgraph.tensors[narrow].quantization = form.quantization
    tensor.buffer, tensor.name = 0, None
    builtin = schema.BuiltinOperator.DEQUANTIZE
    subgraph.operators.insert(0, edit.operator(file, builtin, [narrow], [index], version))
    return narrow


def quantization(scales: np.ndarray, axis: int | None) -> schema.QuantizationParametersT:
    """The schema's parameters of symmetric integers with one scale, or one for each channel."""
    parameters = schema.QuantizationParametersT()
    parameters.scale = scales
    parameters.zeroPoint = np.zeros(scales.size, np.int64)
    parameters.quantizedDimension = axis if scales.size > 1 else 0
    return parameters
