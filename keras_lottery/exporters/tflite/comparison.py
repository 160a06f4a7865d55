"""Compares the answers of a file with Keras's: as a whole, class by class and channel by channel.

Every function takes `results`, runtime -> a list with one array of shape `(examples, ...)` for each
output, and `expected`, a list with `(name, array)` for each output in Keras. An `ExportError` is
one sentence that says which output is wrong, by how much, and what is allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_lottery.exporters.tflite.errors import ExportError

Results = Mapping[str, Sequence[np.ndarray]]
Expected = Sequence[tuple[str, np.ndarray]]

# The largest error of a computation in float32, as a fraction of a value: about sixty roundings.
_FLOAT32_ROUNDING = 2.0**-17

# The same of a difference, as a fraction of the largest value of its output: four roundings. It is
# no excuse for more than a hundredth of a channel's range.
_FLOAT32_STEPS = 2.0**-22
_OF_A_RANGE = 0.01

# The steps of int8 by which the scores of a softmax may be off, however small they are.
_SOFTMAX_STEPS = 2

# Classes that agree this often say more of a softmax than the range of scores that are nearly zero.
USUAL_AGREEMENT = 0.9

# How many channels an error lists.
_LISTED = 4


@dataclass(frozen=True)
class Tolerance:
    """The errors that are allowed of a file.

    Attributes:
        output: The largest error of an output, as a fraction of its largest value.
        channel: The largest error of a channel, as a fraction of the range that it has in Keras.
        step: For outputs in int8, the step of a softmax's outputs between 0 and 1; else zero.
    """

    output: float
    channel: float
    step: float = 0.0


@dataclass(frozen=True)
class Classes:
    """How often a file names the class that Keras does.

    Attributes:
        agreement: The fraction of predictions with the same class, in the runtime and output where
            it is smallest; `None` if no output has classes.
        score_gap: The most by which Keras scores the file's class lower than its own class, as a
            fraction of the output's largest value.
    """

    agreement: float | None = None
    score_gap: float = 0.0


@dataclass(frozen=True)
class Channels:
    """How far channels are off, each in units of its own.

    Attributes:
        error: The largest error of a channel, as a fraction of its own range.
        worst: `(output, channel)` of every channel that is off by half of its range or more.
    """

    error: float = 0.0
    worst: tuple[tuple[str, int], ...] = ()


def errors(
    results: Results, expected: Expected, tolerance: float, step: float = 0.0
) -> dict[str, float]:
    """Compares whole outputs with Keras's.

    Args:
        results: See the module.
        expected: See the module. Integers and flags are compared as classes, not here.
        tolerance: The largest error allowed, as a fraction of the output's largest value.
        step: As of `Tolerance`: a softmax may be off by two steps.

    Returns:
        `dict`: runtime -> the largest error of its outputs.

    Raises:
        ExportError: An output has another shape, is not finite, or is further off.
    """
    largest = {}
    for runtime, result in results.items():
        if len(result) != len(expected):
            raise ExportError(
                f"In {runtime} the file has {len(result)} outputs, the model {len(expected)}."
            )
        largest[runtime] = max(
            _error(f"output {name!r} in {runtime}", got, wanted, tolerance, step)
            for (name, wanted), got in zip(expected, result, strict=True)
        )
    return largest


def classes(results: Results, expected: Expected, tolerance: float) -> Classes:
    """Compares the classes that a file names with the classes that Keras names.

    The last axis of a float output holds the scores of classes: of each example in a classifier, of
    every pixel, box or step in a segmentation, a detector or a sequence. An output of integers
    holds classes itself. Classes that score alike may change places. But a class that Keras scores
    lower than its own by more than the tolerance must not win; errors within the tolerance could
    bridge twice that gap.

    Args:
        results: See the module.
        expected: See the module.
        tolerance: The largest lead in Keras that may be lost, as a fraction of the output's largest
            value; in an output of integers, the largest fraction that may differ.

    Returns:
        `Classes`.

    Raises:
        ExportError: A class won that is clearly behind in Keras.
    """
    found = [
        _classes(f"output {name!r} in {runtime}", got, wanted, tolerance)
        for runtime, result in results.items()
        for (name, wanted), got in zip(expected, result, strict=True)
    ]
    agreeing = [each.agreement for each in found if each.agreement is not None]
    gap = max((each.score_gap for each in found), default=0.0)
    return Classes(min(agreeing, default=None), gap)


def channels(results: Results, expected: Expected, tolerance: Tolerance) -> Channels:
    """Judges each channel of each output by the range that this channel has in Keras.

    A channel is one index of an output's last axis, over all examples and positions. A channel that
    does not vary beyond the rounding of float32 is judged by the range of its output. The channels
    of a softmax share a unit. If its classes agree and tell examples apart, they are the judgement;
    otherwise a channel may be off by as much as the output, or in int8 by two steps.

    Args:
        results: See the module.
        expected: See the module.
        tolerance: A `Tolerance`.

    Returns:
        `Channels`.

    Raises:
        ExportError: Channels are off by more, or do not vary in the file; or a softmax of which
            int8 tells neither channels nor classes. The message counts them and names the cure.
    """
    largest = 0.0
    worst: list[tuple[str, int]] = []
    for number, (name, wanted) in enumerate(expected):
        if wanted.dtype.kind != "f" or not wanted.size:
            continue
        rows = _rows(wanted)
        answered = [_rows(result[number]) for result in results.values()]
        error = np.max([np.abs(got - rows).max(axis=0) for got in answered], axis=0)
        ranges, floor = _ranges(rows), _FLOAT32_ROUNDING * np.abs(rows).max(axis=0)
        if _is_softmax(wanted):
            agreement = min(_told_apart(got, rows) for got in answered)
            if agreement >= USUAL_AGREEMENT:
                continue
            steps = _SOFTMAX_STEPS * tolerance.step
            floor = np.maximum(floor, steps or tolerance.output * _scale(wanted))
            if steps and np.ptp(rows.argmax(axis=1)) and (ranges <= floor).all():
                raise ExportError(_blurred(name, agreement, rows))
        flat = np.min([np.ptp(got, axis=0) for got in answered], axis=0) == 0
        # A small difference of large numbers keeps their rounding.
        rounding = np.minimum(_FLOAT32_STEPS * _scale(wanted), _OF_A_RANGE * ranges)
        allowed = np.max([tolerance.channel * ranges, floor, rounding], axis=0)
        halved = error >= np.maximum(ranges / 2, floor)
        lost = (error >= allowed) | (flat & halved & (np.ptp(rows, axis=0) > floor))
        lost &= ranges > floor
        if lost.any():
            raise ExportError(_lost(name, np.flatnonzero(lost), error, ranges, rows))
        judged = ranges > floor
        fractions = np.where(error > floor, error, 0)[judged] / ranges[judged]
        largest = max(largest, float(fractions.max(initial=0)))
        worst += [(name, int(channel)) for channel in np.flatnonzero(halved & judged)]
    return Channels(largest, tuple(worst))


def _error(where: str, got: np.ndarray, wanted: np.ndarray, tolerance: float, step: float) -> float:
    if got.shape != wanted.shape:
        raise ExportError(f"The {where} has shape {got.shape}, in Keras {wanted.shape}.")
    if not np.isfinite(got).all():
        raise ExportError(f"The {where} is not finite.")
    if wanted.dtype.kind != "f":
        return 0.0
    scale = _scale(wanted)
    differences = np.abs(got.astype(np.float64) - wanted) / scale
    error = float(differences.max(initial=0))
    steps = _SOFTMAX_STEPS * step if _is_softmax(wanted) else 0.0
    allowed = max(tolerance, steps / scale)
    if error > allowed:
        example = np.unravel_index(differences.argmax(), differences.shape)[0]
        raise ExportError(
            f"The {where} is off by {error:.2g} of its largest value in Keras, for example "
            f"{example}; {allowed:.2g} is allowed."
        )
    return error


def _classes(where: str, got: np.ndarray, wanted: np.ndarray, tolerance: float) -> Classes:
    if wanted.dtype.kind != "f":
        differing = float(np.mean(got != wanted)) if wanted.size else 0.0
        if differing > tolerance:
            raise ExportError(
                f"The {where} differs from Keras in {differing:.1%} of its whole numbers; "
                f"{tolerance:.2g} of them may."
            )
        return Classes(1 - differing)
    if wanted.ndim < 2 or wanted.shape[-1] < 2 or not wanted.size:
        return Classes()
    rows, named = _rows(wanted), _rows(got).argmax(axis=1)
    chosen = np.take_along_axis(rows, named[:, None], axis=1)[:, 0]
    gaps = (rows.max(axis=1) - chosen) / _scale(wanted)
    worst = int(gaps.argmax())
    if gaps[worst] > tolerance:
        example, *place = np.unravel_index(worst, wanted.shape[:-1])
        at = f" at {tuple(map(int, place))}" if place else ""
        raise ExportError(
            f"The {where} names class {named[worst]} for example {example}{at}, Keras class "
            f"{rows[worst].argmax()}, by {gaps[worst]:.2g} of the largest value; "
            f"{tolerance:.2g} is allowed."
        )
    return Classes(float(np.mean(named == rows.argmax(axis=1))), float(gaps[worst]))


def _lost(
    name: str, lost: np.ndarray, error: np.ndarray, ranges: np.ndarray, rows: np.ndarray
) -> str:
    """Says how many channels are lost, why, and the cure."""
    listed = ", ".join(map(str, lost[:_LISTED])) + (", ..." if len(lost) > _LISTED else "")
    largest = lost[(error[lost] / ranges[lost]).argmax()]
    low, high = rows.min(), rows.max()
    count = rows.shape[1]
    which = f"{len(lost)} of {count} channels" if count > 1 else "the only channel"
    apart = "Give them an output of their own" if len(lost) < count else "Take a constant out of it"
    return (
        f"The output {name!r} loses {which} ({listed}): channel {largest} is off by "
        f"{error[largest]:.2g} where it varies by {ranges[largest]:.2g} in Keras, beside values "
        f"from {low:.3g} to {high:.3g} in the same output. {apart}, or store weights in a higher "
        "precision, as target='size' with precision='float16' does."
    )


def _blurred(name: str, agreement: float, rows: np.ndarray) -> str:
    """Says that the scores of a softmax are too much alike for int8."""
    return (
        f"The output {name!r} loses its classes: {1 - agreement:.0%} of the compared ones are "
        f"others than in Keras, whose scores of {rows.shape[1]} classes differ by less than two "
        f"steps of int8 between the samples; the largest is {rows.max():.2g}. Let the model end "
        "before its softmax."
    )


def _rows(array: np.ndarray) -> np.ndarray:
    """An output as rows of channels: all axes but the last become one."""
    return array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)


def _ranges(rows: np.ndarray) -> np.ndarray:
    """The range of each channel; the range of the output for a channel that does not vary."""
    ranges, whole = np.ptp(rows, axis=0), float(np.ptp(rows))
    return np.where(ranges > _FLOAT32_ROUNDING * np.abs(rows).max(axis=0), ranges, whole)


def _told_apart(got: np.ndarray, rows: np.ndarray) -> float:
    """How often the classes of a softmax agree; zero if Keras always names the same class."""
    wanted = rows.argmax(axis=1)
    return float(np.mean(got.argmax(axis=1) == wanted)) if np.ptp(wanted) else 0.0


def _is_softmax(wanted: np.ndarray) -> bool:
    return bool(
        wanted.dtype.kind == "f"
        and wanted.ndim > 1
        and wanted.shape[-1] > 1
        and wanted.size
        and wanted.min() >= 0
        and np.allclose(wanted.sum(axis=-1), 1, atol=1e-3)
    )


def _scale(wanted: np.ndarray) -> float:
    """The unit of an output's errors: its largest magnitude in Keras."""
    return float(np.abs(wanted).max(initial=0)) or 1.0
