"""The common part of the scripts that train: they begin, train, and end on one line at errors."""

import contextlib
import sys

from rich.console import Console

from experiments.progress import Progress
from keras_lottery.commands import script


def begin(argv):
    """Refuses arguments that are no flags, imports TensorFlow, and returns a console."""
    script.begin(argv)
    return Console(highlight=False, markup=False)


@contextlib.contextmanager
def errors_on_one_line(name, *errors):
    """Ends a script with one line, and no traceback, at one of these errors."""
    try:
        yield
    except errors as error:
        sys.exit(f"{name}: {' '.join(str(error).split())}")


def train(name, console, run, title, iterations, execute):
    """Trains the networks that the run has no results of, under a progress bar.

    Args:
        name: The name of the script.
        console: A `rich.console.Console`.
        run: `results.Run`.
        title: The line that says what is run.
        iterations: The number of iterations to do.
        execute: A function of a `Progress` that does them.
    """
    console.print(f"{title}; results go to {run.folder}")
    try:
        with errors_on_one_line(name, ValueError), Progress(console, iterations) as progress:
            execute(progress)
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command continues the run in {run.folder}.")
