"""Measures .tflite files side by side: bytes, latency, memory and accuracy on this machine.

  python -m export.benchmark_tflite dense.tflite sparse.tflite
  python -m export.benchmark_tflite --dataset=mnist --runtimes=XNNPACK *.tflite
  python -m export.benchmark_tflite --images=DIR a.tflite b.tflite

Each file is loaded in a process of its own, whose growth is its memory, and timed in turns with the
others, on one thread. A file that cannot be run is listed with the reason. DIR holds images of
one's own: a folder for each class with its pictures or arrays in it, or x.npy and y.npy.
"""

import sys
from pathlib import Path

from absl import app, flags

from export import data_flags, own_images

FLAGS = flags.FLAGS

HEADER = (
    "file", "runtime", "bytes", "gzipped", "median us", "10 % to 90 %", "faster", "memory",
    "load ms", "accuracy", "",
)  # fmt: skip


def accuracy(data, dataset, runtime):
    """The fraction of a data set's test images that a file classifies rightly, or why not.

    Args:
        data: The file's bytes.
        dataset: A `Dataset`.
        runtime: One of `interpreter.RUNTIMES`.

    Returns:
        A float, or a str.
    """
    from keras_lottery.exporters.tflite.runtimes import interpreter

    outcome = interpreter.invoke_apart(data, [dataset.x_test], [runtime])[runtime]
    if isinstance(outcome, str):
        return outcome
    return float((outcome[0].argmax(axis=-1) == dataset.y_test).mean())


def rows(files, measurements, dataset=None):
    """The cells under `HEADER`, one row for each measurement.

    Args:
        files: The paths, the first being what the others are compared with.
        measurements: What `measure.measure` made of them.
        dataset: A `Dataset` to classify, or None.

    Returns:
        A list of lists of text.
    """
    from keras_lottery.exporters.tflite import report, tables

    contents = {Path(file).name: Path(file).read_bytes() for file in files}
    sizes = {name: report.size(data) for name, data in contents.items()}
    first = {m.runtime: m.median for m in measurements if m.file == Path(files[0]).name}
    result = []
    for found in measurements:
        name, runtime, median, spread, memory, load, failure = found.row()
        baseline = first.get(found.runtime)
        right = ""
        if dataset is not None and not failure:
            right = accuracy(contents[name], dataset, runtime)
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


def unfit_settings():
    """What is wrong with the flags, on one line; empty if nothing is."""
    if FLAGS.images is None:
        return data_flags.unfit()
    for flag in ("dataset", "data_dir", "download"):
        if FLAGS[flag].present:
            return f"--images brings the examples; --{flag} has no use beside it."
    return ""


def main(argv):
    """Measures the files that the command line names, and prints a table."""
    files = argv[1:]
    if not files:
        sys.exit("benchmark_tflite: name one .tflite file or more. See --help.")
    if missing := [file for file in files if not Path(file).is_file()]:
        sys.exit(f"benchmark_tflite: there is no file {missing[0]}.")
    if len({Path(file).name for file in files}) < len(files):
        sys.exit("benchmark_tflite: two files have the same name; the table could not tell them.")
    if unfit := unfit_settings():
        sys.exit(f"benchmark_tflite: {unfit}")
    from experiments import quiet

    quiet.import_tensorflow()
    from keras_lottery.exporters.tflite import tables
    from keras_lottery.exporters.tflite.runtimes import measure

    try:
        if FLAGS.images is not None:
            dataset = own_images.load(FLAGS.images, FLAGS.examples)
        else:
            dataset = data_flags.load()
    except (OSError, ValueError) as error:
        sys.exit(f"benchmark_tflite: {error}")
    measurements = measure.measure(files, seconds=FLAGS.seconds, runtimes=FLAGS.runtimes)
    print(tables.text(HEADER, rows(files, measurements, dataset)))
    if all(found.failure for found in measurements):
        sys.exit("benchmark_tflite: none of the files runs.")


if __name__ == "__main__":
    data_flags.define(default=None)
    flags.adopt_module_key_flags(data_flags)
    flags.DEFINE_string(
        "images",
        None,
        "Folder of images or arrays of your own to classify, in place of --dataset.",
    )
    flags.DEFINE_float("seconds", 10.0, "How long to time in each runtime.", lower_bound=0)
    flags.DEFINE_multi_enum(
        "runtimes",
        ["XNNPACK", "built-in kernels"],
        ["XNNPACK", "built-in kernels"],
        "How LiteRT computes; XNNPACK is what an app gets by default",
    )
    app.run(main)
