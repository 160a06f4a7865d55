"""Builds a file that failed its proof again, with better forms for the weights that need them.

`proven` takes a target's builder. In int8 the next better form is a scale for each channel, then
float16, then float32. Each form is tried for all weights first, then for as few as suffice; weights
whose rounding loses most come first.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.proof import Proof
from keras_lottery.exporters.tflite.rewriting import forms, quantize, rewritable
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight

_NAMES = {
    forms.BY_CHANNEL: "int8 with a scale for each channel",
    "float16": "float16",
    "float32": "float32",
}

# How many weights a note lists.
_LISTED = 5


class Builder(Protocol):
    """Builds a file for one target."""

    def __call__(self, source: Source, precision: str, better: Mapping[str, str]) -> Built:
        """Builds it, with another precision for the weights that `better` names."""
        ...


_Attempt = tuple[Built, Proof, Mapping[str, str]]


def proven(
    build: Builder, source: Source, precision: str, prove: Callable[[Built], Proof]
) -> tuple[Built, Proof]:
    """Builds a file, with better forms for some of its weights if it fails its proof.

    Args:
        build: Builds the file, see the targets.
        source: The `Source`.
        precision: The lowest precision a weight may take.
        prove: Proves a file; raises `ExportError` for a file that fails.

    Returns:
        `(Built, Proof)`; the `Built` has a note on what was replaced.

    Raises:
        ExportError: No file passes. The error is that of the first one.
    """

    def attempt(better: Mapping[str, str]) -> _Attempt | None:
        try:
            built = build(source, precision, better)
            return built, prove(built), better
        except ExportError as error:
            failures.append(error)
            return None

    failures: list[ExportError] = []
    if first := attempt({}):
        return first[0], first[1]
    names = _worst_first(source, precision)
    below: dict[str, str] = {}
    for better in forms.BETTER[precision]:
        if found := attempt(dict.fromkeys(names, better)):
            built, proof, chosen = _fewest(attempt, names, below, better, found)
            note = _note(chosen, precision, failures[0])
            reasons = {name: _reason(why, chosen.get(name)) for name, why in built.reasons.items()}
            built = dataclasses.replace(built, reasons=reasons, notes=(*built.notes, note))
            return built, proof
        below = dict.fromkeys(names, better)
    raise failures[0]


def _fewest(
    attempt: Callable[[Mapping[str, str]], _Attempt | None],
    names: Sequence[str],
    below: Mapping[str, str],
    better: str,
    passed: _Attempt,
) -> _Attempt:
    """The attempt that passes and replaces the fewest of the weights, found by halving."""
    failing, passing = 0, len(names)
    while passing - failing > 1:
        middle = (failing + passing) // 2
        tried = attempt({**below, **dict.fromkeys(names[:middle], better)})
        if tried:
            passed, passing = tried, middle
        else:
            failing = middle
    return passed


def _worst_first(source: Source, precision: str) -> list[str]:
    """The names of the weights that can take a better form, in the order of what rounding changes.

    The channel that changes most counts, relative to its own size.
    """
    changes = {}
    for weight in rewritable.find(flatbuffer.read(source.dense_data)):
        change = _change(weight, weight.precision(precision))
        if change:
            changes[levels.name(weight.tensor)] = change
    return sorted(changes, key=changes.__getitem__, reverse=True)


def _change(weight: Weight, precision: str) -> float:
    values = weight.values.astype(np.float64)
    if precision == "float16" and (halves := quantize.to_float16(weight.values)) is not None:
        rounded = halves.astype(np.float64)
    elif precision == "int8":
        integers, scales = quantize.to_int8(weight.values, weight.axis)
        rounded = quantize.restored(integers, forms.quantization(scales, weight.axis))[0]
    else:
        return 0.0
    axes = tuple(axis for axis in range(values.ndim) if axis != weight.axis)
    lost = np.sqrt(((rounded - values) ** 2).sum(axis=axes))
    whole = np.sqrt((values**2).sum(axis=axes))
    return float(np.max(lost / np.where(whole > 0, whole, 1)))


def _reason(why: str, better: str | None) -> str:
    return f"{why}; {_NAMES[better]}, as the file failed its proof without" if better else why


def _note(chosen: Mapping[str, str], precision: str, failure: ExportError) -> str:
    """One sentence that names the weights of each better form, and the failure."""
    parts = []
    for better, text in _NAMES.items():
        names = [name for name, taken in chosen.items() if taken == better]
        if names:
            listed = ", ".join(names[:_LISTED])
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            parts.append(f"{text} for {listed}{more}")
    return (
        f"In {precision} alone the file failed its proof, so some weights take a better form: "
        f"{'; '.join(parts)}. The failure was: {failure}"
    )
