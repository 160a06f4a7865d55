"""The target `auto`: builds a file for each target that could be best, measures and ranks them."""

import dataclasses
import functools
import math
import tempfile
from pathlib import Path

from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.runtimes import interpreter, measure
from keras_lottery.exporters.tflite.targets import integer, latency, size

# What can be weighed, with the unit that the choice is explained in and how many make one.
_UNITS = {"bytes": ("bytes", 1), "time": ("us", 1e-6), "memory": ("bytes of memory", 1)}

# How much longer than dense kernels sparse ones may take where memory counts.
_SLOWEST = 10.0

# How long to time the files in all.
_SECONDS = 1.0


def check_weigh(weigh):
    """Raises `ValueError` if `weigh` has an unknown or negative entry, or nothing to weigh."""
    numbers = all(isinstance(each, (int, float)) and each >= 0 for each in weigh.values())
    if set(weigh) - set(_UNITS) or not numbers or not 0 < sum(weigh.values()) < math.inf:
        raise ValueError(
            f"`weigh` is a dict of numbers, none negative and one positive, for any of "
            f"{', '.join(_UNITS)}; received {weigh!r}."
        )


def ranked(origin, precision, weigh):
    """Builds files for several targets, the best on this machine first.

    Files are compared by the product of bytes, time and memory, each to the power of its weight: a
    file twice as fast is worth one twice as large where both count alike. None is for the target
    `micro`: that one's runtime is another than is measured here.

    Args:
        origin: The `Source`.
        precision: The lowest precision a weight may take: `"float32"`, `"float16"`, `"int8"`. With
            `"int8"` and real samples, a full integer file is among the candidates.
        weigh: How much `"bytes"`, `"time"` and `"memory"` count, numbers by name.

    Returns:
        `dict`: target -> `Built`, each with a note that says why it would be chosen.

    Raises:
        ExportError: None of them could be built and measured here.
    """
    built, skipped = _candidates(origin, precision)
    costs = _measure({name: each.data for name, each in built.items()})
    if not costs:
        raise ExportError("No candidate could be built and measured here; choose a target.")
    found = "; ".join(f"{name} {_describe(cost)}" for name, cost in costs.items())
    why = f"by {_weights(weigh)}. Measured on this machine: {found}."
    return {
        name: dataclasses.replace(built[name], notes=(f"Chosen: target {name}, {why}", *skipped))
        for name in sorted(costs, key=lambda name: _score(costs[name], weigh))
    }


def _candidates(origin, precision):
    """`({name: Built}, notes on those that could not be built)`."""
    builders = {
        "size": size.build,
        "latency": latency.build,
        "latency, in little memory": functools.partial(latency.build, slowest=_SLOWEST),
    }
    if precision == "int8" and origin.real:
        builders["int8"] = integer.build
    built, skipped = {}, []
    for name, build_one in builders.items():
        try:
            candidate = build_one(origin, precision)
        except ExportError as error:
            skipped.append(f"Not among the candidates: target {name}. {error}")
            continue
        if all(candidate.data != other.data for other in built.values()):
            built[name] = candidate
    return built, skipped


def _measure(files):
    """`{name: {"bytes": ..., "time": seconds, "memory": ...}}` in the default runtime."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{name}.tflite") for name in files}
        for name, path in paths.items():
            path.write_bytes(files[name])
        results = measure.measure(
            list(paths.values()), seconds=_SECONDS, runtimes=interpreter.RUNTIMES[:1]
        )
    measured = {Path(result.file).stem: result for result in results if not result.failure}
    return {
        name: {"bytes": len(files[name]), "time": result.median, "memory": result.memory}
        for name, result in measured.items()
    }


def _score(cost, weigh):
    return sum(weight * math.log(max(cost[name], 1e-9)) for name, weight in weigh.items())


def _describe(cost):
    values = (f"{cost[name] / one:,.0f} {unit}" for name, (unit, one) in _UNITS.items())
    return ", ".join(values)


def _weights(weigh):
    return ", ".join(f"{name} {weight:g}" for name, weight in weigh.items() if weight)
