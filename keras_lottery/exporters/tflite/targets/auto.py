"""The target `auto`: builds a file for each target that could be best, proves and ranks them."""

import dataclasses
import functools
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.proof import Proof, prove
from keras_lottery.exporters.tflite.runtimes import interpreter, measure
from keras_lottery.exporters.tflite.targets import integer, latency, replacement, size

# What can be weighed, with the unit that notes use and its size.
_UNITS = {"bytes": ("bytes", 1), "time": ("us", 1e-6), "memory": ("bytes of memory", 1)}

# How many times as long as dense kernels sparse ones may take to save memory.
_MAX_SLOWDOWN = 10.0

# How long to time the files in all.
_SECONDS = 1.0

# The most that a candidate may lose beyond the best one, whatever bytes or time it saves: fractions
# of the classes, and of the range of a channel.
_CLASSES = 0.02
_RANGE = 0.1


@dataclass(frozen=True)
class Candidate:
    """A file that could be chosen.

    Attributes:
        target: The target that it was built for.
        built: The `Built`.
        proof: Its `Proof`.
    """

    target: str
    built: Built
    proof: Proof


def check_weigh(weigh: Mapping[str, float]) -> None:
    """Raises `ValueError` if `weigh` has an unknown or negative entry, or nothing to weigh."""
    numbers = all(isinstance(each, (int, float)) and each >= 0 for each in weigh.values())
    if set(weigh) - set(_UNITS) or not numbers or not 0 < sum(weigh.values()) < math.inf:
        raise ValueError(
            f"`weigh` is a dict of numbers, none negative and one positive, for any of "
            f"{', '.join(_UNITS)}; received {weigh!r}."
        )


def best(source: Source, precision: str, weigh: Mapping[str, float]) -> tuple[Built, Proof]:
    """Builds and proves files for several targets, and chooses the best one on this machine.

    Correctness comes first: a file that loses clearly more classes than the best one, or more of
    the range of a channel, is left out. The others are compared by the product of bytes, time and
    memory, each to the power of its weight: if bytes and time count alike, a file twice as fast may
    be twice as large. The target `micro` is no candidate: its runtime is not the one measured here.

    Args:
        source: The `Source`.
        precision: The lowest precision a weight may take: `"float32"`, `"float16"`, `"int8"`. With
            `"int8"` and real samples, a full integer file is among the candidates.
        weigh: How much `"bytes"`, `"time"` and `"memory"` count.

    Returns:
        `(Built, Proof)`, the `Built` with notes that say why it was chosen, and the others not.

    Raises:
        ExportError: None of them could be built, proven and measured here.
    """
    candidates, notes = _candidates(source, precision)
    if not candidates:
        raise ExportError(f"No candidate passes its proof. {' '.join(notes)}")
    sound, unsound = sounder(candidates)
    costs = _measure({each.target: each.built.data for each in sound})
    if not costs:
        raise ExportError("No candidate could be measured here; choose a target.")
    chosen = min(
        (each for each in sound if each.target in costs),
        key=lambda each: _score(costs[each.target], weigh),
    )
    found = "; ".join(f"{name} {_describe(cost)}" for name, cost in costs.items())
    why = (
        f"Chosen: target {chosen.target}, by {_shown(weigh)}. Measured on this machine with "
        f"XNNPACK: {found}."
    )
    built = chosen.built
    told = (why, *unsound, *notes, *built.notes)
    return dataclasses.replace(built, notes=told), chosen.proof


def sounder(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[str]]:
    """Leaves out candidates that lose clearly more than the best one does.

    Args:
        candidates: The candidates, proven.

    Returns:
        The candidates that stay, and a sentence on each of the others.
    """
    best_one = max(
        candidates, key=lambda each: (each.proof.agreement or 0.0, -each.proof.channel_error)
    )
    agreement, error = best_one.proof.agreement or 0.0, best_one.proof.channel_error
    sound, notes = [], []
    for each in candidates:
        agreed = each.proof.agreement or 0.0
        said = f"Not chosen: target {each.target}, {len(each.built.data):,} bytes."
        if agreed < agreement - _CLASSES:
            notes.append(
                f"{said} Of its classes {agreed:.1%} agree with Keras, of the best file's "
                f"{agreement:.1%}; more than {_CLASSES:.0%} are not given for bytes or time."
            )
        elif each.proof.channel_error > error + _RANGE:
            notes.append(
                f"{said} A channel is off by {each.proof.channel_error:.0%} of its range, in the "
                f"best file by {error:.0%}; more than {_RANGE:.0%} are not given for bytes or time."
            )
        else:
            sound.append(each)
    return sound, notes


def _candidates(source: Source, precision: str) -> tuple[list[Candidate], list[str]]:
    """The candidates that pass their proof, and notes on the others."""
    builders: dict[str, replacement.Builder] = {
        "size": size.build,
        "latency": latency.build,
        "latency, in little memory": functools.partial(latency.build, max_slowdown=_MAX_SLOWDOWN),
    }
    if precision == "int8" and source.real:
        builders["int8"] = integer.build
    found: list[Candidate] = []
    notes: list[str] = []
    for name, build in builders.items():
        proving = functools.partial(prove, source=source, target=name)
        try:
            built, proof = replacement.proven(build, source, precision, proving)
        except ExportError as error:
            notes.append(f"Not among the candidates: target {name}. {error}")
            continue
        if all(built.data != other.built.data for other in found):
            found.append(Candidate(name, built, proof))
    return found, notes


def _measure(files: Mapping[str, bytes]) -> dict[str, dict[str, float]]:
    """`{name: {"bytes": ..., "time": seconds, "memory": ...}}` in the default runtime."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{name}.tflite") for name in files}
        for name, path in paths.items():
            path.write_bytes(files[name])
        results = measure.measure(
            list(paths.values()), seconds=_SECONDS, runtimes=interpreter.RUNTIMES[:1]
        )
    names = {path.name: name for name, path in paths.items()}
    return {
        (name := names[found.file]): {
            "bytes": len(files[name]),
            "time": found.median,
            "memory": found.memory,
        }
        for found in results
        if found.median is not None and found.memory is not None
    }


def _score(cost: Mapping[str, float], weigh: Mapping[str, float]) -> float:
    return sum(weight * math.log(max(cost[name], 1e-9)) for name, weight in weigh.items())


def _describe(cost: Mapping[str, float]) -> str:
    values = (f"{cost[name] / one:,.0f} {unit}" for name, (unit, one) in _UNITS.items())
    return ", ".join(values)


def _shown(weigh: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weigh.items() if weight)
