"""A file that fails its proof is built again with better forms for the weights that need them.

`proven` takes a target's builder. In int8 the next better form is a scale for each channel, then
float16, then float32. Each is tried for all weights first, then for as few as suffice, those first
whose rounding loses most.
"""

import dataclasses

import numpy as np

from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.rewriting import forms, quantize, rewritable

_NAMES = {
    forms.BY_CHANNEL: "int8 with a scale for each channel",
    "float16": "float16",
    "float32": "float32",
}

# How many weights a note lists.
_LISTED = 5


def proven(build, source, precision, prove):
    """Builds a file, with better forms for some of its weights if it fails its proof.

    Args:
        build: `(source, precision, better) -> Built`, see the targets.
        source: The `Source`.
        precision: The lowest precision a weight may take.
        prove: `Built -> Proof`; raises `ExportError` for a file that fails.

    Returns:
        `(Built, Proof)`; the `Built` has a note on what was replaced.

    Raises:
        ExportError: That of the first file, if none passes.
    """

    def attempt(better):
        try:
            built = build(source, precision, better)
            return built, prove(built), better
        except ExportError as error:
            failures.append(error)
            return None

    failures = []
    if first := attempt({}):
        return first[:2]
    names, below = _worst_first(source, precision), {}
    for better in forms.BETTER[precision]:
        if found := attempt(dict.fromkeys(names, better)):
            built, proof, chosen = _fewest(attempt, names, below, better, found)
            note = _note(chosen, precision, failures[0])
            reasons = {name: _reason(why, chosen.get(name)) for name, why in built.reasons.items()}
            built = dataclasses.replace(built, reasons=reasons, notes=(*built.notes, note))
            return built, proof
        below = dict.fromkeys(names, better)
    raise failures[0]


def _fewest(attempt, names, below, better, found):
    """Of the attempts that pass, the one that replaces the fewest of the weights, by halving."""
    failing, passing = 0, len(names)
    while passing - failing > 1:
        middle = (failing + passing) // 2
        tried = attempt(below | dict.fromkeys(names[:middle], better))
        if tried:
            found, passing = tried, middle
        else:
            failing = middle
    return found


def _worst_first(source, precision):
    """The names of the weights that can take a better form, those first that rounding changes most.

    What counts is the channel that changes most, relative to its own size.
    """
    changes = {}
    for weight in rewritable.find(flatbuffer.read(source.dense_data)):
        change = _change(weight, weight.precision(precision))
        if change:
            changes[levels.name(weight.tensor)] = change
    return sorted(changes, key=changes.get, reverse=True)


def _change(weight, precision):
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


def _reason(why, better):
    return f"{why}; {_NAMES[better]}, as the file failed its proof without" if better else why


def _note(chosen, precision, failure):
    """One sentence for each form that was taken."""
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
