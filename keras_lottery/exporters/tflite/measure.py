"""Time and memory of `.tflite` files on this machine: `measure(files) -> measurements`.

Times are taken in turns, a few runs of each file after the other in one process, so that whatever
else the machine does falls on all of them. Memory is what a fresh process grows by.
"""

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
        timed = _run("latency", runtime, str(seconds), *sound) if sound else []
        for file, outcome in loaded.items():
            name = Path(file).name
            failure = timed if isinstance(timed, str) else outcome if file not in sound else ""
            if failure:
                results.append(Measurement(name, runtime, failure=failure))
                continue
            low, median, high = np.percentile(timed[sound.index(file)], (10, 50, 90))
            results.append(Measurement(name, runtime, median, low, high, **outcome))
    return results


def _run(*arguments):
    """What the probe printed, or why it failed."""
    done = subprocess.run(
        # -P keeps this package's modules from shadowing the standard library's.
        [sys.executable, "-P", probe.__file__, *arguments],
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return json.loads(done.stdout)
    if done.returncode < 0:
        return f"crashes with signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {done.returncode}"
