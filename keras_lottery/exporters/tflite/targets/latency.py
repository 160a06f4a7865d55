"""The target `latency`: weights in the forms that a runtime computes with sparsely.

The runtimes have sparse kernels for fully connected operators on one example: for float32 weights,
single or in blocks of four inputs, and for int8 weights in blocks of sixteen. XNNPACK has one for
1x1 convolutions, which it takes by itself where the network qualifies and the weights are stored
sparsely. All other weights are stored as by the target `size`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.format import edit, encoding, flatbuffer, levels
from keras_lottery.exporters.tflite.rewriting import channels_last, forms, quantize, rewritable
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight
from keras_lottery.exporters.tflite.runtimes import defects
from keras_lottery.exporters.tflite.targets import size

# Nanoseconds for each weight of a dense kernel, and for each stored block by its length, on an x86
# core with AVX-512. Dense float is at its fastest there: elsewhere a sparse kernel gains more.
DENSE_NANOSECONDS = 0.042
BLOCK_NANOSECONDS = {1: 0.65, 4: 0.55, 16: 1.0}

# The overhead of one operator outside XNNPACK's delegate; inside it, all operators run in one call.
_CALL_NANOSECONDS = 200

_TOO_SMALL = "too few weights for sparse kernels to be worth their calls"

# A form of more bytes must be faster by more than this factor.
_WORTH_BYTES = 1.4


@dataclass(frozen=True)
class _SparseForm:
    """A form that a sparse kernel for fully connected operators reads."""

    name: str
    values: np.ndarray
    scales: np.ndarray | None
    plan: encoding.Plan

    @property
    def nanoseconds(self) -> float:
        """The estimated time to compute with it."""
        length = self.plan.block[1] if self.plan.block else 1
        return BLOCK_NANOSECONDS[length] * self.plan.count / length

    @property
    def bytes(self) -> int:
        """The most bytes that it takes in the file."""
        scales = 0 if self.scales is None else forms.SCALE_BYTES * self.scales.size
        return self.plan.bytes + forms.SPARSITY_BYTES + scales


def build(
    source: Source,
    precision: str,
    better: Mapping[str, str] = MappingProxyType({}),
    max_slowdown: float = 1.0,
) -> Built:
    """Builds the fastest file; see `encode`.

    Args:
        source: The `Source`.
        precision: The lowest precision a weight may take: `"float32"`, `"float16"`, `"int8"`.
        better: Weight -> the precision that it takes instead, see `forms.BETTER`.
        max_slowdown: How many times as long as a dense kernel a sparse one may take.

    Returns:
        A `Built`.
    """
    file = flatbuffer.read(source.dense_data)
    reasons = encode(file, precision, better, max_slowdown)
    notes = channels_last.keep(file)
    return Built(flatbuffer.write(file), reasons, precision, notes=notes)


def encode(
    file: schema.ModelT,
    precision: str,
    better: Mapping[str, str] = MappingProxyType({}),
    max_slowdown: float = 1.0,
) -> dict[str, str]:
    """Stores the weights of a dense float32 file in the forms that are computed fastest.

    Args:
        file: The `ModelT`, changed in place.
        precision: The lowest precision a weight may take: `"float32"`, `"float16"`, `"int8"`. With
            `"int8"`, blocks of sixteen are computed in int8.
        better: As of `build`.
        max_slowdown: How many times as long as a dense kernel a sparse one may take. More than 1
            trades time for memory.

    Returns:
        `dict`: tensor name -> why the tensor is stored as it is.
    """
    found = [
        (weight, _sparse_forms(weight, better.get(levels.name(weight.tensor), precision)))
        for weight in rewritable.find(file)
    ]
    chosen = [_best(sparse_forms, weight, max_slowdown) for weight, sparse_forms in found]
    pairs = [(weight, best) for (weight, _), best in zip(found, chosen, strict=True) if best]
    saved = sum(_saved(*pair) for pair in pairs)
    small = max_slowdown <= 1.0 and saved <= 0
    reasons = {}
    for (weight, sparse_forms), best in zip(found, chosen, strict=True):
        name = levels.name(weight.tensor)
        if best is not None and not small:
            _write(file, weight, best)
            faster = f"estimated {_gain(weight, best):.1f} times as fast as dense float32 on x86"
            reasons[name] = f"{best.name}, {faster}"
        else:
            why = _TOO_SMALL if best is not None else _why_not(sparse_forms)
            stored = size.write(file, weight, better.get(name, precision))
            reasons[name] = f"{why}; {stored}"
    size.finish(file)
    return reasons


def forecast(file: schema.ModelT, weight: Weight, precision: str) -> tuple[float, float]:
    """Forecasts the bytes and the speed of one weight in the form chosen for it.

    Args:
        file: The `ModelT`.
        weight: A `Weight` of it.
        precision: As of `encode`.

    Returns:
        The most bytes in the file, and the estimated speed as a multiple of dense float32: 1 if no
        sparse form is faster.
    """
    best = _best(_sparse_forms(weight, precision), weight, max_slowdown=1.0)
    if best is not None and _saved(weight, best) > 0:
        return best.bytes, _gain(weight, best)
    # Beside larger layers a small weight may become sparse all the same.
    taken = size.choose(file, weight, precision).bytes
    return max(taken, 0 if best is None else best.bytes), 1.0


def pays_from(length: int) -> float:
    """The fraction of zeros from which blocks of `length` float32 weights are faster than dense.

    >>> round(pays_from(1), 2), round(pays_from(4), 2)
    (0.94, 0.69)
    """
    return 1 - DENSE_NANOSECONDS * length / BLOCK_NANOSECONDS[length]


def _best(
    sparse_forms: Sequence[_SparseForm], weight: Weight, max_slowdown: float
) -> _SparseForm | None:
    """The smallest form that is nearly as fast as the fastest; `None` if a dense kernel is."""
    fastest = min((form.nanoseconds for form in sparse_forms), default=0)
    fast = [form for form in sparse_forms if form.nanoseconds <= _WORTH_BYTES * fastest]
    best = min(fast, key=lambda form: form.bytes, default=None)
    if best is None or best.nanoseconds >= max_slowdown * DENSE_NANOSECONDS * weight.values.size:
        return None
    return best


def _gain(weight: Weight, form: _SparseForm) -> float:
    """How many times as fast as a dense kernel a form is."""
    dense_nanoseconds = DENSE_NANOSECONDS * weight.values.size
    return dense_nanoseconds / (form.nanoseconds + _CALL_NANOSECONDS)


def _saved(weight: Weight, form: _SparseForm) -> float:
    """The nanoseconds that a form of a weight saves over a dense kernel."""
    return DENSE_NANOSECONDS * weight.values.size - form.nanoseconds - _CALL_NANOSECONDS


def _sparse_forms(weight: Weight, precision: str) -> list[_SparseForm]:
    if not all(_is_dense_on_one_example(weight, *user) for user in weight.operators):
        return []
    values, inputs = weight.values, weight.values.shape[1]
    found = []
    if precision == "int8" and inputs % 16 == 0 and inputs // 16 <= defects.MOST_BLOCKS:
        integers, scales = quantize.to_int8(values)
        plan = encoding.by_rows(integers, 1, length=16)
        found.append(_SparseForm("int8 blocks of 16 inputs", integers, scales, plan))
    if inputs % 4 == 0:
        found.append(
            _SparseForm("blocks of 4 inputs", values, None, encoding.by_rows(values, 4, 4))
        )
    found.append(_SparseForm("single weights", values, None, encoding.by_rows(values, 4)))
    return [form for form in found if form.bytes < values.nbytes]


def _is_dense_on_one_example(weight: Weight, name: str, operator: schema.OperatorT) -> bool:
    rows = math.prod(levels.shape(weight.subgraph.tensors[operator.inputs[0]]))
    return name == "FULLY_CONNECTED" and rows == weight.values.shape[1]


def _why_not(sparse_forms: Sequence[_SparseForm]) -> str:
    if not sparse_forms:
        return "no sparse kernel computes it"
    return "too few zeros for a sparse kernel to be faster"


def _write(file: schema.ModelT, weight: Weight, form: _SparseForm) -> None:
    stored, parameters = encoding.encode(form.values, form.plan)
    tensor = weight.tensor
    tensor.buffer, tensor.sparsity = edit.add_buffer(file, stored), parameters
    if form.scales is not None:
        tensor.type = schema.TensorType.INT8
        tensor.quantization = forms.quantization(form.scales, axis=0)
    for _, operator in weight.operators:
        builtin = schema.BuiltinOperator.FULLY_CONNECTED
        operator.opcodeIndex = edit.operator_code(file, builtin, defects.SPARSE_VERSION)
