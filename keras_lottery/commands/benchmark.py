"""Measures .tflite files side by side: bytes, latency, memory and accuracy on this machine.

  keras-lottery benchmark dense.tflite sparse.tflite
  keras-lottery benchmark --runtimes=XNNPACK *.tflite
  keras-lottery benchmark --images=DIR a.tflite b.tflite

Each file is loaded in a process of its own, whose growth is its memory, and timed in turns with the
others, on one thread. A file that cannot be run is listed with the reason. DIR holds images of
one's own: a folder for each class with its pictures or arrays in it, or x.npy and y.npy.
"""

from pathlib import Path

from keras_lottery.commands import command

HEADER = (
    "file", "runtime", "bytes", "gzipped", "median us", "10 % to 90 %", "faster", "memory",
    "load ms", "accuracy", "",
)  # fmt: skip

_RUNTIMES = ("XNNPACK", "built-in kernels")


def accuracy(data, examples, runtime):
    """The fraction of examples that a file classifies rightly, or why not.

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


def rows(files, measurements, examples=None):
    """The cells under `HEADER`, one row for each measurement.

    Args:
        files: The paths, the first being what the others are compared with.
        measurements: The `tflite.Measurement`s of the files.
        examples: `(x, y)` to classify, or None.

    Returns:
        A list of lists of text.
    """
    from keras_lottery.exporters import tables
    from keras_lottery.exporters.tflite import report

    contents = {Path(file).name: Path(file).read_bytes() for file in files}
    sizes = {name: report.size(data) for name, data in contents.items()}
    first = {m.runtime: m.median for m in measurements if m.file == Path(files[0]).name}
    result = []
    for found in measurements:
        name, runtime, median, spread, memory, load, failure = found.row()
        baseline = first.get(found.runtime)
        right = ""
        if examples is not None and not failure:
            right = accuracy(contents[name], examples, runtime)
            right = f"{right:.2%}" if isinstance(right, float) else right
        result.append(
            [
                name,
                runtime,
                tables.number(sizes[name].raw),
                tables.number(sizes[name].gzipped),
                median,
                spread,
                f"{baseline / found.median:.2f}x" if baseline and found.median else "",
                memory,
                load,
                right,
                failure,
            ]
        )
    return result


def add_arguments(parser):
    """Defines what the command takes.

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
        help="how long to time in each runtime (10)",
    )
    parser.add_argument(
        "--runtimes",
        action="append",
        choices=_RUNTIMES,
        help="how LiteRT computes; XNNPACK is what an app gets by default (both, one after the "
        "other)",
    )


def load_images(arguments):
    """The images that the arguments name, or None.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Returns:
        `(x, y)`, or None.

    Raises:
        CommandError: There is a limit of images and no images.
        ValueError, OSError: The folder holds something else.
    """
    from keras_lottery.commands import images

    if arguments.images is not None:
        return images.load(arguments.images, arguments.examples)
    if arguments.examples is not None:
        raise command.CommandError("--examples is for --images: how many of them to take.")
    return None


def run(arguments, load=load_images):
    """Measures the files, and prints a table.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.
        load: Returns what to classify, or None; a function of the arguments.

    Raises:
        CommandError: The files cannot be told apart, there is one not, or none of them runs.
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
    if all(found.failure for found in measurements):
        raise command.CommandError("none of the files runs.")
