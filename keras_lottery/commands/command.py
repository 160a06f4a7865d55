"""The common part of the commands: they are parsed, run, and end on one line if they fail."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any

from keras_lottery.commands import quiet


class CommandError(Exception):
    """A command cannot go on; the message says on one line why."""


def texts(doc: str | None) -> dict[str, Any]:
    """Return arguments of `argparse.ArgumentParser` made of a module's docstring.

    Args:
        doc: The docstring.

    Returns:
        A dict.
    """
    return {
        "description": (doc or "").strip(),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


def prepare(
    parser: argparse.ArgumentParser,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
) -> None:
    """Gives a parser the arguments of a command, and the parsed arguments the function to run.

    Args:
        parser: An `argparse.ArgumentParser`.
        add_arguments: A function that defines a parser's arguments.
        run: A function of the parsed arguments.
    """
    add_arguments(parser)
    parser.set_defaults(run=run, prog=parser.prog)


def execute(arguments: argparse.Namespace) -> None:
    """Runs parsed arguments; a `CommandError` ends the process with its message.

    Args:
        arguments: What a parser that was given to `prepare` made of a command line.

    Raises:
        SystemExit: The command failed.
    """
    try:
        arguments.run(arguments)
    except CommandError as error:
        sys.exit(f"{arguments.prog}: {' '.join(str(error).split())}")


def run_script(
    name: str,
    doc: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
) -> None:
    """Runs a command that is a script of its own, with the arguments of this process.

    Args:
        name: The script's name.
        doc: Its docstring.
        add_arguments: A function that defines a parser's arguments.
        run: A function of the parsed arguments.

    Raises:
        SystemExit: The command failed.
    """
    parser = argparse.ArgumentParser(prog=name, **texts(doc))
    prepare(parser, add_arguments, run)
    execute(parser.parse_args())


def import_exporter() -> Any:
    """Imports the exporter and TensorFlow, in silence.

    Returns:
        The package `keras_lottery.exporters.tflite`.

    Raises:
        CommandError: The exporter is not installed.
    """
    try:
        quiet.import_tensorflow()
        from keras_lottery.exporters import tflite
    except ImportError as error:
        raise CommandError(f"{error} It needs pip install 'keras_lottery[tflite]'.") from error
    return tflite


def integer(least: int) -> Callable[[str], int]:
    """Makes a type for `add_argument`: an integer of at least `least`.

    >>> integer(1)("12")
    12
    """

    def parse(text: str) -> Any:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {least}")
        return number

    return parse


def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Makes a type for `add_argument`: a finite number from `least` to `most`.

    >>> number(0, 1)("0.5")
    0.5
    """
    bounds = f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}"

    def parse(text: str) -> Any:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {bounds}")
        return value

    return parse
