"""Inspect, export, measure and compare from a shell.

keras-lottery export --model=M.keras --output=F.tflite
keras-lottery inspect F.tflite
keras-lottery benchmark dense.tflite F.tflite
keras-lottery compare one.ticket other.ticket

Every command lists its arguments with --help.
"""

import argparse
import importlib
from collections.abc import Sequence
from importlib import metadata

from keras_lottery.commands import command

COMMANDS = ("export", "inspect", "benchmark", "compare")


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line, with a subparser for each of `COMMANDS`.

    Returns:
        An `argparse.ArgumentParser`.

    >>> make_parser().parse_args(["compare", "a.ticket", "b.ticket"]).second
    'b.ticket'
    """
    parser = argparse.ArgumentParser(prog="keras-lottery", **command.texts(__doc__))
    version = f"keras_lottery {metadata.version('keras_lottery')}"
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"keras_lottery.commands.{name}")
        texts = command.texts(module.__doc__)
        summary = texts["description"].partition("\n")[0]
        subparser = subparsers.add_parser(name, help=summary, **texts)
        command.prepare(subparser, module.add_arguments, module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command that a command line names.

    Args:
        arguments: A list of str; those of this process if None.

    Raises:
        SystemExit: The command failed, or `inspect` found a defect.
    """
    command.execute(make_parser().parse_args(arguments))


if __name__ == "__main__":
    main()
