"""The target `size`: every weight in the form that makes the file smallest.

Compute stays in float32 at full speed; the runtimes unpack the weights when they load the file.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType

from keras_lottery.exporters.tflite.conversion.source import Built
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


@dataclass(frozen=True)
class Choice:
    """The form of one weight that takes the fewest bytes.

    Attributes:
        form: The `forms.Form`.
        shape: That of the kernel of the convolution as which it is written, if it is.
        bytes: What the weight takes at most, with the operators that unpack it.
        reason: Why it is stored so.
    """

    form: forms.Form
    shape: tuple[int, ...] | None
    bytes: float
    reason: str


def build(source, precision, better=MappingProxyType({})):
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
    return smaller(
        Built(flatbuffer.write(file), reasons, precision, notes=notes), source.dense_data
    )


def encode(file, precision, better=MappingProxyType({})):
    """Stores the weights of a dense float32 model in the fewest bytes.

    Args:
        file: The `ModelT`, changed in place.
        precision: The lowest precision a weight may take: `"float32"`, `"float16"`, `"int8"`.
        better: As of `build`.

    Returns:
        `dict`: tensor name -> why it is stored as it is.
    """
    reasons = {}
    for weight in rewritable.find(file):
        name = levels.name(weight.tensor)
        reasons[name] = store(file, weight, better.get(name, precision))
    finish(file)
    return reasons


def choose(file, weight, precision):
    """The form of one weight that takes the fewest bytes.

    Args:
        file: The `ModelT`.
        weight: A `rewritable.Weight` of it.
        precision: The lowest precision allowed.

    Returns:
        A `Choice`.
    """
    precision = weight.precision(precision)
    beside = half_biases.cost(file, weight) if precision == "float16" else 0
    if weight.is_table:
        beside = lookups.cost(weight)
    choices = forms.possible(weight.values, weight.axis, precision, beside)
    best = smallest(choices)
    reason = _reason(best, choices)
    shape = _convolution_shape(weight)
    if shape is not None:
        narrow = smallest(forms.possible(weight.values.reshape(shape), 0, precision, beside))
        rewriting = sum(dense_as_conv.cost(each, shape[0]) for _, each in weight.operators)
        if narrow.bytes + rewriting < best.bytes:
            said = _reason(narrow, choices, rewriting)
            reason = f"{said}; as a convolution its indices are narrower"
            return Choice(narrow, shape, narrow.bytes + rewriting, reason)
    return Choice(best, None, best.bytes, reason)


def store(file, weight, precision):
    """Stores one weight in the fewest bytes; see `choose`.

    Args:
        file: The `ModelT`, changed in place.
        weight: A `rewritable.Weight` of it.
        precision: The lowest precision allowed.

    Returns:
        Why it is stored as it is.
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


def smaller(built, dense):
    """What was built, or the dense file where that is smaller.

    No weight takes more bytes than when stored densely. But weights that are equal share theirs
    then, as those of nothing but zeros.

    Args:
        built: A `Built`.
        dense: The same model stored densely, a flatbuffer.

    Returns:
        A `Built`.
    """
    file = flatbuffer.read(dense)
    edit.drop_unused(file)
    dense = flatbuffer.write(file)
    if len(built.data) <= len(dense):
        return built
    reason = "stored densely, as equal weights are stored once; sparsely the file would grow"
    return replace(built, data=dense, reasons=dict.fromkeys(built.reasons, reason), notes=())


def finish(file):
    """Drops what the rewriting left without a use."""
    for subgraph in file.subgraphs:
        reshapes.skip(file, subgraph)
    edit.drop_unused(file)


def dense_int8(data):
    """The same model with its weights in int8 and none of them sparse: what to compare with.

    Args:
        data: A dense float32 flatbuffer.

    Returns:
        A flatbuffer.
    """
    file = flatbuffer.read(data)
    for weight in rewritable.find(file):
        precision = weight.precision("int8")
        dense = smallest(forms.possible_dense(weight.values, weight.axis, precision))
        if weight.is_table and dense.precision == "int8":
            lookups.write(file, weight, dense)
        else:
            forms.write(file, weight.subgraph, weight.index, dense)
    edit.drop_unused(file)
    return flatbuffer.write(file)


def smallest(choices):
    """The `Storage` with the fewest bytes; the most precise of those that are equal."""
    return min(choices, key=lambda choice: choice.bytes)


def _reason(best, choices, rewriting=0):
    dense = best.plan is None
    rival = smallest([choice for choice in choices if (choice.plan is None) != dense])
    ours = forms.described(best.stored_bytes, best.bytes + rewriting)
    other = forms.described(rival.stored_bytes, rival.bytes)
    return f"{ours}, against {other} stored {'sparsely' if dense else 'densely'}"


def _convolution_shape(weight):
    """The shape as a convolution, where all that read the weight can be one and it would differ."""
    if any(name != "FULLY_CONNECTED" for name, _ in weight.operators):
        return None
    shape = dense_as_conv.kernel_shape(weight.values.shape)
    return shape if shape[1] > 1 else None
