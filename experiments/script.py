"""What the scripts that train have in common: how they begin, how they train, how they give up."""

import contextlib
import sys

from rich.console import Console

from experiments.progress import Progress
from keras_lottery.commands import script


def begin(argv):
    """Refuses what is no flag, and imports TensorFlow; returns the console to print to."""
    script.begin(argv)
    return Console(highlight=False, markup=False)


@contextlib.contextmanager
def giving_up(name, *errors):
    """Ends the script of a name with one line, and no traceback, at one of these errors."""
    try:
        yield
    except errors as error:
        sys.exit(f"{name}: {' '.join(str(error).split())}")


def train(name, console, run, title, iterations, execute):
    """Trains what the run has no results of, under a bar.

    Args:
        name: Of the script.
        console: A `rich.console.Console`.
        run: `results.Run`.
        title: What is run.
        iterations: How many there are to do.
        execute: Does them; a function of a `Progress`.
    """
    console.print(f"{title}; results go to {run.folder}")
    try:
        with giving_up(name, ValueError), Progress(console, iterations) as progress:
            execute(progress)
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command continues the run in {run.folder}.")
