"""Reports on .tflite files, whoever made them: bytes, how weights are computed, and defects.

  keras-lottery inspect model.tflite
  keras-lottery inspect --format=json a.tflite b.tflite
  keras-lottery inspect --measure model.tflite

Exits with 1 if a file cannot be read, or some runtime would compute it wrongly or refuse it.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from keras_lottery.commands import command

_RENDER: dict[str, Callable[[Any], str]] = {
    "table": str,
    "markdown": lambda report: report.to_markdown(),
    "json": lambda report: report.to_json(),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the arguments of the command.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    parser.add_argument("files", nargs="+", metavar="FILE.tflite", help="a file to report on")
    parser.add_argument(
        "--format", choices=_RENDER, default="table", help="how to print the report"
    )
    parser.add_argument(
        "--measure", action="store_true", help="measure time and memory on this machine as well"
    )
    parser.add_argument(
        "--seconds",
        type=command.number(0),
        default=2.0,
        help="seconds to measure in each runtime (2)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the report of every file.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        SystemExit: A file cannot be read or has a defect.
        CommandError: The exporter is not installed.
    """
    tflite = command.import_exporter()
    from keras_lottery.exporters.tables import printable

    sound = True
    for path in arguments.files:
        try:
            report = tflite.inspect(path)
        except (OSError, tflite.FlatbufferError) as error:
            print(f"{arguments.prog}: {printable(f'{path}: {error}')}", file=sys.stderr)
            sound = False
            continue
        if arguments.measure:
            report = report.measured(tflite.measure([path], seconds=arguments.seconds))
        print(_RENDER[arguments.format](report))
        sound = sound and not report.inspection.defects
    if not sound:
        sys.exit(1)
