"""Measures .tflite files side by side: bytes, latency, memory and accuracy on this machine.

  keras-lottery benchmark dense.tflite sparse.tflite
  keras-lottery benchmark --runtimes=XNNPACK *.tflite
  keras-lottery benchmark --images=DIR a.tflite b.tflite

Each file is loaded in a process of its own, whose growth is its memory. The files are timed in
turns, on one thread. A file that does not run is listed with the reason. DIR holds your own images:
a folder for each class with its pictures or arrays in it, or x.npy and y.npy.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_lottery.commands import command

HEADER = (
    "file", "runtime", "bytes", "gzipped", "median us", "10 % to 90 %", "faster", "memory",
    "load ms", "accuracy", "",
)  # fmt: skip

_RUNTIMES = ("XNNPACK", "built-in kernels")


def accuracy(data: bytes, examples: tuple[Any, Any], runtime: str) -> float | str:
    """Return the fraction of examples that a file classifies rightly, or why it cannot.

    Args:
        data: The file's bytes.
        examples: `(x, y)`, inputs and their classes.
        runtime: `"XNNPACK"` or `"built-in kernels"`.

    Returns:
        A float, or a str.
    """
    from keras_lottery.exporters import tflite

    x, y = examples
    try:
        scores, *_ = tflite.run(data, x, runtime=runtime)
    except RuntimeError as error:
        return str(error)
    return float((scores.argmax(axis=-1) == y).mean())


def rows(files: Any, measurements: Any, examples: Any = None) -> list[list[str]]:
    """Return the cells under `HEADER`, one row for each measurement.

    Args:
        files: The paths. The others are compared with the first.
        measurements: The `tflite.Measurement`s of the files.
        examples: `(x, y)` to classify, or None.

    Returns:
        A list of rows, which are lists of text.
    """
    from keras_lottery.exporters import tables
    from keras_lottery.exporters.tflite import report

    contents = {Path(file).name: Path(file).read_bytes() for file in files}
    sizes = {name: report.size(data) for name, data in contents.items()}
    first = {m.runtime: m.median for m in measurements if m.file == Path(files[0]).name}
    result = []
    for measurement in measurements:
        name, runtime, median, spread, memory, load, failure = measurement.row()
        baseline = first.get(measurement.runtime)
        right = ""
        if examples is not None and not failure:
            rightly = accuracy(contents[name], examples, runtime)
            right = f"{rightly:.2%}" if isinstance(rightly, float) else rightly
        result.append(
            [
                name,
                runtime,
                tables.number(sizes[name].raw),
                tables.number(sizes[name].gzipped),
                median,
                spread,
                f"{baseline / measurement.median:.2f}x" if baseline and measurement.median else "",
                memory,
                load,
                right,
                failure,
            ]
        )
    return result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the arguments of the command.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    parser.add_argument("files", nargs="+", metavar="FILE.tflite", help="a file to measure")
    parser.add_argument(
        "--images", metavar="DIR", help="folder of images or arrays of your own to classify"
    )
    parser.add_argument(
        "--examples", type=command.integer(1), metavar="N", help="classify only N images"
    )
    parser.add_argument(
        "--seconds",
        type=command.number(0),
        default=10.0,
        help="seconds to time the files in each runtime (10)",
    )
    parser.add_argument(
        "--runtimes",
        action="append",
        choices=_RUNTIMES,
        help="how LiteRT computes; XNNPACK is the default of an app (both, one after the other)",
    )


def load_images(arguments: argparse.Namespace) -> Any:
    """Load the images that the arguments name, or return None.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Returns:
        `(x, y)`, or None.

    Raises:
        CommandError: `--examples` is given without images.
        ValueError, OSError: The folder holds no images.
    """
    from keras_lottery.commands import images

    if arguments.images is not None:
        return images.load(arguments.images, arguments.examples)
    if arguments.examples is not None:
        raise command.CommandError("--examples is for --images: how many of them to take.")
    return None


def run(arguments: argparse.Namespace, load: Callable[..., Any] = load_images) -> None:
    """Measures the files, and prints a table.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.
        load: A function of the arguments that returns examples to classify, or None.

    Raises:
        CommandError: Two files have one name, a file does not exist, or no file runs.
    """
    files = arguments.files
    if missing := [file for file in files if not Path(file).is_file()]:
        raise command.CommandError(f"there is no file {missing[0]}.")
    if len({Path(file).name for file in files}) < len(files):
        raise command.CommandError(
            "two files have the same name; the table could not tell them apart."
        )
    tflite = command.import_exporter()
    from keras_lottery.exporters import tables

    try:
        examples = load(arguments)
    except (OSError, ValueError) as error:
        raise command.CommandError(str(error)) from error
    runtimes = arguments.runtimes or _RUNTIMES
    measurements = tflite.measure(files, seconds=arguments.seconds, runtimes=runtimes)
    print(tables.text(HEADER, rows(files, measurements, examples)))
    if all(measurement.failure for measurement in measurements):
        raise command.CommandError("none of the files runs.")
