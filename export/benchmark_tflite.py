"""Measures .tflite files side by side: `keras-lottery benchmark`, with data sets by their names.

  python -m export.benchmark_tflite dense.tflite sparse.tflite
  python -m export.benchmark_tflite --dataset=mnist --runtimes=XNNPACK *.tflite
  python -m export.benchmark_tflite --images=DIR a.tflite b.tflite

Each file is loaded in a process of its own, whose growth is its memory. The files are timed in
turns, on one thread. A file that does not run is listed with the reason. DIR holds your own images:
a folder for each class with its pictures or arrays in it, or x.npy and y.npy.
"""

from export import data_flags
from keras_lottery.commands import benchmark, command


def add_arguments(parser):
    """Defines the arguments of the command, and those of the data set.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    benchmark.add_arguments(parser)
    data_flags.add_arguments(parser)


def load(arguments):
    """Load the test images of the data set, or the user's images; None if neither is named.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Returns:
        `(x, y)`, or None.

    Raises:
        CommandError: `--examples` is given without images.
        ValueError, OSError: There is no such data set, or a folder holds something else.
    """
    if arguments.dataset is None:
        return benchmark.load_images(arguments)
    dataset = data_flags.load(arguments)
    return dataset.x_test, dataset.y_test


def run(arguments):
    """Measures the files, and prints a table.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        CommandError: A setting is wrong, or nothing can be measured.
    """
    if unfit := data_flags.unfit(arguments):
        raise command.CommandError(unfit)
    if arguments.images is not None and arguments.dataset is not None:
        raise command.CommandError("--images brings the examples; --dataset has no use beside it.")
    benchmark.run(arguments, load)


if __name__ == "__main__":
    command.run_script("benchmark_tflite", __doc__, add_arguments, run)
