"""Times `.tflite` files in a headless Chromium: `python -m export.web.benchmark DENSE SPARSE...`.

They run in LiteRT.js on one thread, in turns, so that a slow moment hits all of them alike. On x86
a browser is the only place where XNNPACK's sparse kernels run at all: it refuses them where it sees
AVX, and WebAssembly hides that.
"""

import dataclasses
import math
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from absl import app, flags

from export.web import browser, build, serve

# A budget for the slowest: 30 s a model.
PATIENCE = 30


@dataclasses.dataclass(frozen=True)
class Timing:
    """The time of one file: median and quartiles in milliseconds.

    Attributes:
        path: The file.
        median: The median of an inference, in milliseconds.
        low: The lower quartile.
        high: The upper quartile.
        speedup: The first file's median over this one's.
        difference: The largest difference between its outputs and the first file's, as a fraction
            of the first file's largest output.
    """

    path: Path
    median: float
    low: float
    high: float
    speedup: float
    difference: float


def benchmark(paths, rounds=51, block_ms=2.0):
    """Times float32 models with one input and one output against each other.

    Args:
        paths: The files. The others are compared with the first.
        rounds: The number of measurements of each file.
        block_ms: The least length of a measurement, in milliseconds: short, so that most are not
            interrupted, and long for the browser's clock of 5 microseconds.

    Returns:
        A list of `Timing`, in the order of `paths`.

    Raises:
        RuntimeError: No browser, or the browser cannot run a file.
        ValueError: Two files have different numbers of output values.
    """
    from selenium.common.exceptions import WebDriverException

    with tempfile.TemporaryDirectory() as folder, browser.open_browser() as driver:
        names = _make_page(paths, Path(folder))
        server = serve.make_server(folder)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            driver.set_script_timeout(PATIENCE * len(names))
            driver.get(f"http://localhost:{server.server_port}/")
            found = driver.execute_async_script(
                "const [names, effort, done] = arguments;"
                "import('./benchmark.js').then(({compare}) => compare(names, effort))"
                ".then(done, (error) => done(String(error)));",
                names,
                {"rounds": rounds, "blockMs": block_ms},
            )
        except WebDriverException as error:
            raise RuntimeError(f"the browser gave up: {error.msg}") from error
        finally:
            server.shutdown()
            server.server_close()
    if isinstance(found, str):
        raise RuntimeError(f"the browser cannot run these files: {found}")
    return [_timing(path, one, found[0]) for path, one in zip(paths, found, strict=True)]


def _make_page(paths, folder):
    """An empty page with the runtime and the models; returns the models' names in it."""
    (folder / "index.html").write_text("<!doctype html><title>Benchmark</title>")
    for name in ("runtime.js", "timing.js"):
        shutil.copy(build.HERE / "page" / name, folder)
    shutil.copy(build.HERE / "benchmark.js", folder)
    build.copy_runtime(folder)
    names = [f"{i}.tflite" for i in range(len(paths))]
    for path, name in zip(paths, names, strict=True):
        shutil.copy(path, folder / name)
    return names


def _timing(path, found, first):
    if found["outputs"] != first["outputs"]:
        raise ValueError(
            f"{path} has {found['outputs']:,} output values, the first file {first['outputs']:,}: "
            "they cannot be compared"
        )
    pairs = zip(found["output"], first["output"], strict=True)
    # NaN arrives as None; it must not look like agreement.
    difference = max(math.inf if None in pair else abs(pair[0] - pair[1]) for pair in pairs)
    largest = max(abs(value or 0) for value in first["output"])
    return Timing(
        Path(path),
        found["median"],
        found["low"],
        found["high"],
        first["median"] / found["median"],
        difference / largest if largest else math.inf,
    )


def table(timings):
    """Return the timings as lines of text."""
    width = max(len(timing.path.name) for timing in timings)
    head = f"{'file':{width}} {'bytes':>12} {'ms':>9} {'quartiles':>17} {'speed':>7} {'differs':>9}"
    lines = [
        f"{t.path.name:{width}} {t.path.stat().st_size:12,} {t.median:9.4f} "
        f"{f'{t.low:.4f}-{t.high:.4f}':>17} {f'{t.speedup:.2f}x':>7} {t.difference:9.2g}"
        for t in timings
    ]
    return "\n".join([head, *lines])


def main(arguments):
    """Times the files named on the command line."""
    if len(arguments) < 2:
        raise app.UsageError("name .tflite files; the first is what the others are compared with")
    try:
        print(table(benchmark(arguments[1:], FLAGS.rounds, FLAGS.block_ms)))
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"benchmark: {error}")


FLAGS = flags.FLAGS
if __name__ == "__main__":
    flags.DEFINE_integer("rounds", 51, "Number of measurements of each file.", lower_bound=1)
    flags.DEFINE_float("block_ms", 2.0, "Milliseconds of one measurement.", lower_bound=1.0)
    app.run(main)
