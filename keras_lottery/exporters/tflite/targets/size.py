"""The target `size`: every weight in the form that makes the file smallest.

Compute stays in float32 at full speed; the runtimes unpack the weights when they load the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.format import edit, flatbuffer, levels
from keras_lottery.exporters.tflite.rewriting import (
    channels_last,
    dense_as_conv,
    forms,
    half_biases,
    lookups,
    reshapes,
    rewritable,
)
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight


@dataclass(frozen=True)
class SmallestForm:
    """The form of one weight that takes the fewest bytes.

    Attributes:
        form: The form.
        shape: The kernel's shape if the weight is written as a convolution, else `None`.
        bytes: The most bytes that the weight takes, with the operators that unpack it.
        reason: Why the weight is stored so.
    """

    form: forms.Form
    shape: tuple[int, ...] | None
    bytes: float
    reason: str


def build(
    source: Source, precision: str, better: Mapping[str, str] = MappingProxyType({})
) -> Built:
    """Builds the smallest file; see `encode`.

    Args:
        source: The `Source`.
        precision: The lowest precision a weight may take: `"float32"`, `"float16"`, `"int8"`.
        better: Weight -> the precision that it takes instead, see `forms.BETTER`.

    Returns:
        A `Built`.
    """
    file = flatbuffer.read(source.dense_data)
    reasons = encode(file, precision, better)
    notes = channels_last.keep(file)
    built = Built(flatbuffer.write(file), reasons, precision, notes=notes)
    return smaller(built, source.dense_data)


def encode(
    file: schema.ModelT, precision: str, better: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Stores the weights of a dense float32 file in the fewest bytes.

    Args:
        file: The `ModelT`, changed in place.
        precision: The lowest precision a weight may take: `"float32"`, `"float16"`, `"int8"`.
        better: As of `build`.

    Returns:
        `dict`: tensor name -> why the tensor is stored as it is.
    """
    reasons = {}
    for weight in rewritable.find(file):
        name = levels.name(weight.tensor)
        reasons[name] = write(file, weight, better.get(name, precision))
    finish(file)
    return reasons


def choose(file: schema.ModelT, weight: Weight, precision: str) -> SmallestForm:
    """Chooses the form of one weight that takes the fewest bytes.

    Args:
        file: The `ModelT`.
        weight: A `Weight` of it.
        precision: The lowest precision allowed.

    Returns:
        A `SmallestForm`.
    """
    precision = weight.precision(precision)
    extra_bytes = half_biases.cost(file, weight) if precision == "float16" else 0
    if weight.is_table:
        extra_bytes = lookups.cost(weight)
    possible = forms.possible(weight.values, weight.axis, precision, extra_bytes)
    best = smallest(possible)
    reason = _reason(best, possible)
    shape = _convolution_shape(weight)
    if shape is not None:
        kernel = weight.values.reshape(shape)
        narrow = smallest(forms.possible(kernel, 0, precision, extra_bytes))
        rewriting = sum(dense_as_conv.cost(each, shape[0]) for _, each in weight.operators)
        if narrow.bytes + rewriting < best.bytes:
            said = _reason(narrow, possible, rewriting)
            reason = f"{said}; as a convolution its indices are narrower"
            return SmallestForm(narrow, shape, narrow.bytes + rewriting, reason)
    return SmallestForm(best, None, best.bytes, reason)


def write(file: schema.ModelT, weight: Weight, precision: str) -> str:
    """Writes one weight in the form that `choose` chooses.

    Args:
        file: The `ModelT`, changed in place.
        weight: A `Weight` of it.
        precision: The lowest precision allowed.

    Returns:
        Why the weight is stored as it is.
    """
    choice = choose(file, weight, precision)
    operators = [operator for _, operator in weight.operators]
    if weight.is_table and choice.form.precision == "int8":
        lookups.write(file, weight, choice.form)
        return choice.reason
    if choice.shape is not None:
        operators = [
            dense_as_conv.rewrite(file, weight.subgraph, operator, choice.shape)
            for operator in operators
        ]
    forms.write(file, weight.subgraph, weight.index, choice.form)
    if choice.form.precision == "float16":
        half_biases.rewrite(file, weight, operators)
    return choice.reason


def smaller(built: Built, dense_data: bytes) -> Built:
    """Takes the dense file instead of the built one if it is smaller.

    No weight alone takes more bytes than stored densely. But equal weights, such as kernels of
    nothing but zeros, share their bytes in a dense file.

    Args:
        built: A `Built`.
        dense_data: The same model stored densely, a flatbuffer.

    Returns:
        A `Built`.
    """
    file = flatbuffer.read(dense_data)
    edit.drop_unused(file)
    dense_data = flatbuffer.write(file)
    if len(built.data) <= len(dense_data):
        return built
    reason = "stored densely, as equal weights are stored once; sparsely the file would grow"
    return replace(built, data=dense_data, reasons=dict.fromkeys(built.reasons, reason), notes=())


def finish(file: schema.ModelT) -> None:
    """Drops the reshapes, tensors and buffers that the rewriting left without a use."""
    for subgraph in file.subgraphs:
        reshapes.skip(file, subgraph)
    edit.drop_unused(file)


def dense_int8(data: bytes) -> bytes:
    """Stores the weights of a dense file in int8, none of them sparsely, to compare sizes with.

    Args:
        data: A dense float32 flatbuffer.

    Returns:
        A flatbuffer.
    """
    file = flatbuffer.read(data)
    for weight in rewritable.find(file):
        precision = weight.precision("int8")
        form = smallest(forms.possible_dense(weight.values, weight.axis, precision))
        if weight.is_table and form.precision == "int8":
            lookups.write(file, weight, form)
        else:
            forms.write(file, weight.subgraph, weight.index, form)
    edit.drop_unused(file)
    return flatbuffer.write(file)


def smallest(possible: Iterable[forms.Form]) -> forms.Form:
    """The form with the fewest bytes; of forms with as many, the most precise one."""
    return min(possible, key=lambda form: form.bytes)


def _reason(best: forms.Form, possible: Sequence[forms.Form], rewriting: int = 0) -> str:
    is_dense = best.plan is None
    rival = smallest([form for form in possible if (form.plan is None) != is_dense])
    chosen = forms.described(best.stored_bytes, best.bytes + rewriting)
    other = forms.described(rival.stored_bytes, rival.bytes)
    return f"{chosen}, against {other} stored {'sparsely' if is_dense else 'densely'}"


def _convolution_shape(weight: Weight) -> tuple[int, ...] | None:
    """The kernel's shape as a convolution, if all readers can be convolutions and it differs."""
    if any(name != "FULLY_CONNECTED" for name, _ in weight.operators):
        return None
    shape = dense_as_conv.kernel_shape(weight.values.shape)
    return shape if shape[1] > 1 else None
