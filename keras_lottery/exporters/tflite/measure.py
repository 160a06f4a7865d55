"""Time and memory of `.tflite` files on this machine: `measure(files) -> measurements`.

Times are taken in turns, a few runs of each file after the other in one process, so that whatever
else the machine does falls on all of them. Memory is what a fresh process grows by.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from keras_lottery.exporters.tflite import probe, tables
from keras_lottery.exporters.tflite.runtimes import RUNTIMES

# Seconds after which a process counts as caught in a loop, beside those that it is to time for.
_LIMIT = 60.0


@dataclass(frozen=True)
class Measurement:
    """What one file took in one runtime, on one thread.

    Attributes:
        file: Its name.
        runtime: One of `runtimes.RUNTIMES`.
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
    results = []
    for runtime in runtimes:
        loaded = {str(file): _run("memory", runtime, str(file)) for file in files}
        sound = [file for file, outcome in loaded.items() if isinstance(outcome, dict)]
        timed = _timed(runtime, seconds, sound)
        for file, outcome in loaded.items():
            name, taken = Path(file).name, timed.get(file, outcome)
            if isinstance(taken, str):
                results.append(Measurement(name, runtime, failure=taken))
                continue
            low, median, high = np.percentile(taken, (10, 50, 90))
            results.append(Measurement(name, runtime, median, low, high, **outcome))
    return results


def _timed(runtime, seconds, files):
    """File to the seconds of its runs, or to why there are none."""
    if not files:
        return {}
    timed = _run("latency", runtime, str(seconds), *files, seconds=seconds)
    if not isinstance(timed, str):
        return dict(zip(files, timed, strict=True))
    if len(files) == 1:
        return {files[0]: timed}
    # One of them ended the process: each has to run by itself to tell which.
    alone = (_timed(runtime, seconds / len(files), [file]) for file in files)
    return dict(itertools.chain.from_iterable(each.items() for each in alone))


def _run(*arguments, seconds=0.0):
    """What the probe printed, or why it failed."""
    limit = _LIMIT + seconds
    try:
        done = subprocess.run(
            # -P keeps this package's modules from shadowing the standard library's.
            [sys.executable, "-P", probe.__file__, *arguments],
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return f"does not end within {limit:.0f} seconds"
    if done.returncode == 0:
        return json.loads(done.stdout)
    if done.returncode < 0:
        return f"crashes with signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {done.returncode}"
