"""The targets by name: the function that builds a file for each, and the precisions."""

from collections.abc import Collection

from keras_lottery.exporters.tflite.rewriting import forms
from keras_lottery.exporters.tflite.targets import integer, latency, micro, size

BUILDERS = {
    "size": size.build,
    "latency": latency.build,
    "int8": integer.build,
    "micro": micro.build,
}

# The targets that compute in integers too, in one precision only.
INTEGERS = ("int8", "micro")


def resolve_precision(target: str, precision: str | None, known: Collection[str]) -> str:
    """Checks target and precision, and returns the precision to use.

    Args:
        target: The target that the user gave.
        precision: The precision that the user gave, or `None` for the target's own.
        known: The targets to choose from.

    Raises:
        ValueError: One of them is none of its choices, or they do not go together.
    """
    if target not in known:
        raise ValueError(f"`target` is {target!r}; it must be one of {', '.join(known)}.")
    implied = "int8" if target in INTEGERS else None
    if implied and precision not in (None, implied):
        raise ValueError(
            f"`precision` is {precision!r}, but target {target!r} always stores int8: omit "
            "`precision`."
        )
    precision = precision or implied or "float32"
    if precision not in forms.PRECISIONS:
        choices = ", ".join(forms.PRECISIONS)
        raise ValueError(f"`precision` is {precision!r}; it must be one of {choices}.")
    return precision
