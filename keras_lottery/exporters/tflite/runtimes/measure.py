"""Measures time and memory of `.tflite` files: `measure(files) -> [Measurement]`.

Each file is loaded in a process of its own, as in an app, and its memory is the growth of that
process. Times are taken in turns, a few runs of each file after the other, so that whatever else
the machine does falls on all of them.
"""

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_lottery.exporters.tflite.runtimes import probe
from keras_lottery.exporters.tflite.runtimes.interpreter import RUNTIMES

# Seconds after which a process that says nothing counts as endless.
_LIMIT = 60.0


@dataclass(frozen=True)
class Measurement:
    """Time and memory of one file in one runtime, on one thread.

    Attributes:
        file: The name of the file, without its folder.
        runtime: `"XNNPACK"` or `"built-in kernels"`.
        median: The median latency in seconds; None if the file failed, like the other numbers.
        low: The 10th percentile of the latencies.
        high: Their 90th percentile.
        memory: The bytes by which a fresh process grows that loads the file and runs it once.
        load: The seconds from opening the file to the first result, in that process.
        failure: Why the file could not be measured; empty if it could.
    """

    file: str
    runtime: str
    median: float | None = None
    low: float | None = None
    high: float | None = None
    memory: int | None = None
    load: float | None = None
    failure: str = ""

    def row(self) -> tuple[str, ...]:
        """The measurement as text: file, runtime, times, memory, time to load, failure."""
        low, high = _shown(self.low, 1e6, ".1f"), _shown(self.high, 1e6, ".1f")
        return (
            self.file,
            self.runtime,
            _shown(self.median, 1e6, ".1f"),
            f"{low} to {high}" if low else "",
            _shown(self.memory, 1, ",.0f"),
            _shown(self.load, 1e3, ".1f"),
            self.failure,
        )


def _shown(number: float | None, factor: float, form: str) -> str:
    return "" if number is None else format(factor * number, form)


def measure(
    files: Sequence[str | PathLike],
    *,
    seconds: float = 5.0,
    runtimes: Sequence[str] = RUNTIMES,
) -> list[Measurement]:
    """Measures the time and memory of `.tflite` files on this machine, on one thread.

    Each file runs in a process of its own, and the files take turns, so whatever else the machine
    does falls on all of them. Works on Linux only: memory is read from `/proc`.

    Args:
        files: Paths of `.tflite` files, whoever made them. A file that cannot run gets a
            `Measurement` with the reason; the others are measured all the same.
        seconds: How long to time in each runtime, all files together.
        runtimes: Any of `"XNNPACK"`, which an app gets by default, and `"built-in kernels"`.

    Returns:
        A list with one `Measurement` for each runtime and file, all files of a runtime in a row.

    Raises:
        ValueError: A runtime is none of the two.

    Example:

    >>> from keras_lottery.exporters import tflite
    >>> [found] = tflite.measure(["missing.tflite"], runtimes=["XNNPACK"])
    >>> found.median is None, found.failure != ""
    (True, True)
    """
    if isinstance(runtimes, str) or (set(runtimes) - set(RUNTIMES)):
        raise ValueError(
            f"`runtimes` is {runtimes!r}; it must be a list of {' and '.join(map(repr, RUNTIMES))}."
        )
    return [found for runtime in runtimes for found in _measure(files, runtime, seconds)]


def _measure(files: Sequence[str | PathLike], runtime: str, seconds: float) -> list[Measurement]:
    with contextlib.ExitStack() as stack:
        # One after the other, so that no file loads beside another.
        probes = [stack.enter_context(_Probe(file, runtime)) for file in files]
        end = time.monotonic() + seconds
        while True:
            for each in probes:
                each.time()
            if time.monotonic() >= end:
                return [each.measurement() for each in probes]


class _Probe:
    """A process that has loaded one file and times it when told to."""

    def __init__(self, file: str | PathLike, runtime: str):
        self.file, self.runtime = file, runtime
        self.failure = ""
        self.times: list[float] = []
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            # -P keeps this package's modules from shadowing the standard library's.
            [sys.executable, "-P", probe.__file__, runtime, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.loaded = self._answer()

    def __enter__(self) -> "_Probe":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def time(self) -> None:
        """Takes one sample, unless the process failed."""
        if not self.failure:
            with contextlib.suppress(BrokenPipeError):
                print(file=self.process.stdin, flush=True)
            taken = self._answer()
            if not self.failure:
                self.times.append(taken)

    def measurement(self) -> Measurement:
        """The result of all samples."""
        name = Path(self.file).name
        if self.failure:
            return Measurement(name, self.runtime, failure=self.failure)
        low, median, high = np.percentile(self.times, (10, 50, 90))
        return Measurement(name, self.runtime, median, low, high, **self.loaded)

    def _answer(self) -> Any:
        """The value that the process prints next; None, and a `failure`, if it prints none."""
        assert self.process.stdout is not None  # a pipe, as asked for
        if not select.select([self.process.stdout], [], [], _LIMIT)[0]:
            self.failure = f"does not end within {_LIMIT:.0f} seconds"
        elif line := self.process.stdout.readline():
            return json.loads(line)
        else:
            self.failure = self._why()
        return None

    def _why(self) -> str:
        status = self.process.wait()
        if status < 0:
            return f"crashes with signal {-status}"
        self.errors.seek(0)
        lines = [line for line in self.errors if line.strip()]
        return lines[-1].strip() if lines else f"exit status {status}"
