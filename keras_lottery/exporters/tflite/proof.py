"""`prove(built, source, target) -> Proof`: compares an exported file with its Keras model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_lottery.exporters.tflite import blame, comparison, verify
from keras_lottery.exporters.tflite.comparison import Tolerance
from keras_lottery.exporters.tflite.conversion import reference
from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.rewriting import bitmask
from keras_lottery.exporters.tflite.runtimes import interpreter
from keras_lottery.exporters.tflite.targets import micro

# By `Built.precision`, how far outputs may be off. In full integers the converter rounds
# activations too, and the loss depends on the network: trained networks for digits lost 0.005 to
# 0.03. Storing the integers sparsely adds nothing to it.
TOLERANCES = {
    "float32": Tolerance(output=1e-4, channel=4e-4),
    "float16": Tolerance(output=1e-2, channel=0.04),
    "int8": Tolerance(output=0.05, channel=0.2),
    "full_int8": Tolerance(output=0.25, channel=1.0, step=1 / 256),
}

# The numbers of examples that the proof tries to resize a file to.
_RESIZED = (2, 3)


@dataclass(frozen=True)
class Proof:
    """The result of comparing a file with its Keras model.

    Attributes:
        errors: Runtime -> the largest difference of its outputs from Keras's, as a fraction of the
            largest value of that output.
        agreement: The fraction of predictions that get the same class as in Keras, in the runtime
            and output where it is smallest; `None` if no output has classes.
        exact: Whether the file computes in integers and gives the same bits as those integers
            stored densely.
        lost_channels: `(output, channel)` of every channel that is off by half of its range in
            Keras or more.
        score_gap: The most by which Keras scores the file's class lower than its own class, as a
            fraction of the output's largest value.
        channel_error: The largest error of a channel, as a fraction of its own range in Keras.
        compared: How many examples were compared.
        given: How many samples the user gave; 0 if the examples were made up.
        calibrated: How many samples calibrated activations; 0 if none had to.
        batch: How many examples the file takes at once.
        resizes: Whether a runtime can resize the file to batches of other sizes.
    """

    errors: dict[str, float]
    agreement: float | None = None
    exact: bool = False
    lost_channels: tuple[tuple[str, int], ...] = ()
    score_gap: float = 0.0
    channel_error: float = 0.0
    compared: int = 0
    given: int = 0
    calibrated: int = 0
    batch: int = 1
    resizes: bool = False


def prove(built: Built, source: Source, target: str) -> Proof:
    """Proves a file against the Keras model it was made from.

    Args:
        built: The `Built`.
        source: The `Source`.
        target: The target of the file. A file for `"micro"` runs in TensorFlow Lite Micro as well,
            if that is installed.

    Returns:
        A `Proof`.

    Raises:
        ExportError: The file is not a faithful sparse copy of the model.
    """
    # LiteRT has no TFLM_DECODE operator: let it run a copy whose bitmasks are decoded.
    plain = bitmask.with_decoded_masks(built.data) if target == "micro" else built.data
    file = flatbuffer.read(plain)
    verify.check_operators(file)
    verify.check_storage(file)
    verify.check_weights(source, file)

    compared = source.compared()
    expected = _expected(source, compared)
    inputs = keras.tree.flatten(compared)
    results, resizes = _answers(plain, inputs)
    if target == "micro" and micro.is_installed():
        results |= verify.answers(built.data, inputs, [interpreter.MICRO])
    if built.dense_integers is not None:
        dense_answers = verify.answers(built.dense_integers, inputs, list(results))
        verify.check_equal(results, dense_answers, source.outputs)
    tolerance = TOLERANCES[built.precision]
    try:
        errors = comparison.errors(results, expected, tolerance.output, tolerance.step)
        channels = comparison.channels(results, expected, tolerance)
        classes = comparison.classes(results, expected, tolerance.output)
    except ExportError as error:
        if built.dense_integers is None:
            raise
        raise ExportError(
            f"{error} {blame.sentence(source, built.dense_integers)}".strip()
        ) from error
    calibrating = [] if built.dense_integers is None else keras.tree.flatten(source.calibrating())
    return Proof(
        errors=errors,
        agreement=classes.agreement,
        exact=built.dense_integers is not None,
        lost_channels=channels.worst,
        score_gap=classes.score_gap,
        channel_error=channels.error,
        compared=len(inputs[0]),
        given=source.given if source.real else 0,
        calibrated=len(calibrating[0]) if calibrating else 0,
        batch=source.batch,
        resizes=resizes,
    )


def _answers(
    data: bytes, inputs: Sequence[np.ndarray]
) -> tuple[dict[str, interpreter.Outputs], bool]:
    """The answers of the runtimes, and whether batches of other sizes get the same answers."""
    sizes = [size for size in _RESIZED if size <= len(inputs[0])]
    resized = {f"{name}@{size}": name for name in interpreter.RUNTIMES for size in sizes}
    outcomes = interpreter.invoke_apart(data, inputs, [*interpreter.RUNTIMES, *resized])
    results = verify.succeeded({name: outcomes[name] for name in interpreter.RUNTIMES})
    same = [_are_alike(outcomes[key], results[name]) for key, name in resized.items()]
    return results, bool(same) and all(same)


def _are_alike(answer: interpreter.Outputs | str, whole: interpreter.Outputs) -> bool:
    """Whether examples get the same answer in a resized file, if it can be resized."""
    return not isinstance(answer, str) and all(
        got.shape[1:] == all_of.shape[1:]
        and np.allclose(got, all_of[: len(got)], rtol=1e-3, atol=1e-3 * np.abs(all_of).max())
        for got, all_of in zip(answer, whole, strict=True)
    )


def _expected(source: Source, samples: Any) -> list[tuple[str, np.ndarray]]:
    """`(name, array)` for each output of the model in Keras."""
    answers = reference.answers(source.judge or source.model, samples)
    expected = list(zip(source.outputs, answers, strict=True))
    for name, wanted in expected:
        if not np.isfinite(wanted).all():
            kind = "the samples" if source.real else "made-up inputs; pass `samples`, real ones"
            raise ExportError(f"The output {name!r} is not finite in Keras itself on {kind}.")
    return expected
