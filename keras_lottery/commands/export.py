"""Exports a pruned Keras model to a sparse .tflite file that is proven equal.

  keras-lottery export --model=M.keras --output=F.tflite
  keras-lottery export --model=M.keras --images=DIR --target=int8 --output=F.tflite

Beside F.tflite this writes the report, as F.json and F.md. None of the three may be there already,
unless --overwrite says so. DIR holds real inputs: a folder for each class with its pictures or
arrays in it, or x.npy and y.npy.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_lottery.commands import command, saved_model

# Of the files written: the model, and its report twice.
_SUFFIXES = (".tflite", ".json", ".md")
_TARGETS = ("size", "latency", "int8", "micro", "auto")
_INTEGERS = ("int8", "micro")
_PRECISIONS = ("float32", "float16", "int8")


def parse_weighing(text: str | None) -> dict[str, float] | None:
    """Parse what the target `auto` weighs from `name=number` entries; None if there are none.

    Raises:
        ValueError: An entry has another form.

    >>> parse_weighing("bytes=2,time=1")
    {'bytes': 2.0, 'time': 1.0}
    """
    if not text:
        return None
    entries = [entry.split("=") for entry in text.split(",")]
    try:
        return {name: float(number) for name, number in entries}
    except ValueError as error:
        raise ValueError(f"--weigh is {text!r}; it must be like bytes=2,time=1.") from error


def add_arguments(parser: argparse.ArgumentParser, model_required: bool = True) -> None:
    """Defines the arguments of the command.

    Args:
        parser: An `argparse.ArgumentParser`.
        model_required: Whether only `--model` can name the model.
    """
    parser.add_argument(
        "--model",
        required=model_required,
        metavar="M.keras",
        help="file of a Keras model whose pruned weights are zero",
    )
    parser.add_argument(
        "--output", required=True, metavar="F.tflite", help="the .tflite file to write"
    )
    parser.add_argument(
        "--target",
        choices=_TARGETS,
        default="size",
        help="what the file is made for: the fewest bytes (the default); speed; integers "
        "only; TensorFlow Lite Micro; or what suits the network",
    )
    parser.add_argument(
        "--precision",
        choices=_PRECISIONS,
        help="how to store the weights (as suits the target)",
    )
    parser.add_argument(
        "--weigh",
        help="how much bytes, time and memory count for --target=auto, as in bytes=2,time=1 "
        "(all alike)",
    )
    parser.add_argument("--images", metavar="DIR", help="folder of real inputs of your own")
    parser.add_argument(
        "--samples",
        type=command.integer(1),
        metavar="N",
        help="how many of the real inputs to calibrate on, spread evenly over all (256)",
    )
    parser.add_argument(
        "--compare",
        type=command.integer(1),
        metavar="N",
        help="how many of the real inputs to compare on, spread evenly over all (64)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist already")
    parser.add_argument(
        "--shrink", action="store_true", help="remove dead units first, with the same answers"
    )
    parser.add_argument(
        "--measure", action="store_true", help="measure time and memory on this machine as well"
    )


def check(arguments: argparse.Namespace, real_inputs: str = "--images", given: Any = None) -> Any:
    """Refuses settings that cannot be met, before anything is read or trained.

    It checks first what needs no TensorFlow, whose import takes seconds.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.
        real_inputs: The options that bring real inputs.
        given: Whether one of these options is given; None looks at `--images` alone.

    Raises:
        CommandError: A setting is wrong.
    """
    given = arguments.images is not None if given is None else given
    for option in ("samples", "compare"):
        if getattr(arguments, option) is not None and not given:
            raise command.CommandError(
                f"--{option} is for {real_inputs}: how many of them to take."
            )
    output = Path(arguments.output)
    if output.suffix != ".tflite":
        raise command.CommandError(f"--output is {arguments.output!r}; it must end in .tflite.")
    if not output.parent.is_dir():
        raise command.CommandError(
            f"--output is {arguments.output!r}; there is no folder {output.parent}."
        )
    taken = [path for path in map(output.with_suffix, _SUFFIXES) if path.exists()]
    if taken and not arguments.overwrite:
        raise command.CommandError(f"{taken[0]} exists already; --overwrite replaces it.")
    if arguments.weigh and arguments.target != "auto":
        raise command.CommandError(f"--weigh is for --target=auto, not for {arguments.target}.")
    if arguments.measure and arguments.target == "micro":
        raise command.CommandError(
            "--measure times a file in LiteRT, not in TensorFlow Lite Micro."
        )
    if arguments.target in _INTEGERS and not given:
        raise command.CommandError(
            f"--target={arguments.target} needs {real_inputs}, real inputs to calibrate on."
        )
    command.import_exporter()
    from keras_lottery.exporters.tflite import targets
    from keras_lottery.exporters.tflite.targets import auto

    try:
        targets.resolve_precision(arguments.target, arguments.precision, _TARGETS)
        if weigh := parse_weighing(arguments.weigh):
            auto.check_weigh(weigh)
    except ValueError as error:
        raise command.CommandError(str(error)) from error


def load_saved(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Load the model and the real inputs that the arguments name.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Returns:
        A `keras.Model`, and an array or None.

    Raises:
        ValueError, OSError: The model's file or the folder cannot be read.
    """
    from keras_lottery.commands import images

    samples = None if arguments.images is None else images.load(arguments.images).x
    return saved_model.load(arguments.model), samples


def run(
    arguments: argparse.Namespace,
    checked: Callable[..., Any] = check,
    load: Callable[..., Any] = load_saved,
) -> None:
    """Writes the file and its report, and prints the report.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.
        checked: A function of the arguments that refuses wrong settings.
        load: A function of the arguments that returns the model, and real inputs or None.

    Raises:
        CommandError: A setting is wrong, a file cannot be read or written, or the proof failed.
    """
    checked(arguments)
    tflite = command.import_exporter()
    from keras_lottery.exporters.tflite.conversion.source import COMPARED
    from keras_lottery.masks.masking import MaskError

    output = Path(arguments.output)
    try:
        model, samples = load(arguments)
        report = tflite.export(
            model,
            output,
            target=arguments.target,
            precision=arguments.precision,
            weigh=parse_weighing(arguments.weigh),
            samples=samples,
            calibrate=arguments.samples,
            compare=arguments.compare or COMPARED,
            measure=arguments.measure,
            overwrite=arguments.overwrite,
            shrink=arguments.shrink,
        )
        output.with_suffix(".json").write_text(report.to_json(), encoding="utf-8")
        output.with_suffix(".md").write_text(report.to_markdown(), encoding="utf-8")
    except (OSError, ValueError, MaskError, tflite.ExportError) as error:
        raise command.CommandError(str(error)) from error
    print(report)
