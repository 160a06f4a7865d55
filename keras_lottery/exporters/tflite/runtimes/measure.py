"""Time and memory of `.tflite` files on this machine: `measure(files) -> measurements`.

Each file is loaded in a process of its own, as in an app, and memory is what that grows by. Times
are taken in turns, a few runs of each file after the other, so that whatever else the machine does
falls on all of them.
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

import numpy as np

from keras_lottery.exporters.tflite import tables
from keras_lottery.exporters.tflite.runtimes import probe
from keras_lottery.exporters.tflite.runtimes.interpreter import RUNTIMES

# Seconds after which a process that says nothing counts as caught in a loop.
_LIMIT = 60.0


@dataclass(frozen=True)
class Measurement:
    """What one file took in one runtime, on one thread.

    Attributes:
        file: Its name.
        runtime: One of `interpreter.RUNTIMES`.
        median: Of the latencies in seconds; None where the file failed.
        low: Their 10th percentile.
        high: Their 90th percentile.
        memory: Bytes by which a fresh process grows that loads the file and runs it once.
        load: Seconds from opening the file to the first result, in that process.
        failure: Why there are no numbers, or empty.
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
        """The measurement as cells: microseconds, bytes and milliseconds."""
        if self.failure:
            return (self.file, self.runtime, "", "", "", "", self.failure)
        return (
            self.file,
            self.runtime,
            f"{1e6 * self.median:.1f}",
            f"{1e6 * self.low:.1f} to {1e6 * self.high:.1f}",
            tables.number(self.memory),
            f"{1e3 * self.load:.1f}",
            "",
        )


def measure(
    files: Sequence[str | PathLike],
    *,
    seconds: float = 5.0,
    runtimes: Sequence[str] = RUNTIMES,
) -> list[Measurement]:
    """Measures files side by side. Linux only: it reads memory from `/proc`.

    Args:
        files: Paths of `.tflite` files, from anywhere; one that cannot be run fails alone.
        seconds: How long to time in each runtime, all files together.
        runtimes: Which of `RUNTIMES`.

    Returns:
        One `Measurement` for each file and runtime.
    """
    return [each for runtime in runtimes for each in _measure(files, runtime, seconds)]


def _measure(files, runtime, seconds):
    with contextlib.ExitStack() as stack:
        # One after the other: what a file takes to load, it takes alone.
        probes = [stack.enter_context(_Probe(file, runtime)) for file in files]
        end = time.monotonic() + seconds
        while True:
            for each in probes:
                each.time()
            if time.monotonic() >= end:
                return [each.measurement() for each in probes]


class _Probe:
    """A process that has loaded one file and times it when told to."""

    def __init__(self, file, runtime):
        self.file, self.runtime = file, runtime
        self.failure, self.times = "", []
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

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def time(self):
        """Takes one sample, unless the process failed."""
        if not self.failure:
            with contextlib.suppress(BrokenPipeError):
                print(file=self.process.stdin, flush=True)
            taken = self._answer()
            if not self.failure:
                self.times.append(taken)

    def measurement(self):
        """What was found."""
        name = Path(self.file).name
        if self.failure:
            return Measurement(name, self.runtime, failure=self.failure)
        low, median, high = np.percentile(self.times, (10, 50, 90))
        return Measurement(name, self.runtime, median, low, high, **self.loaded)

    def _answer(self):
        """The value that the process prints next; None, and `failure`, if it prints none."""
        if not select.select([self.process.stdout], [], [], _LIMIT)[0]:
            self.failure = f"does not end within {_LIMIT:.0f} seconds"
        elif line := self.process.stdout.readline():
            return json.loads(line)
        else:
            self.failure = self._why()
        return None

    def _why(self):
        status = self.process.wait()
        if status < 0:
            return f"crashes with signal {-status}"
        self.errors.seek(0)
        lines = [line for line in self.errors if line.strip()]
        return lines[-1].strip() if lines else f"exit status {status}"
