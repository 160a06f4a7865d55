"""`prove(built, source, target) -> Proof`: an exported file against the model it was made from."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_lottery.exporters.tflite import blame, comparison, verify
from keras_lottery.exporters.tflite.comparison import Tolerance
from keras_lottery.exporters.tflite.conversion import reference
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.rewriting import bitmask
from keras_lottery.exporters.tflite.runtimes import interpreter
from keras_lottery.exporters.tflite.targets import micro

# By `Built.precision`, how far outputs may be off. That of integers is for what the converter loses
# by rounding activations too, which depends on the network: trained ones for digits lost 0.005 to
# 0.03. Storing them sparsely adds nothing to it.
TOLERANCES = {
    "float32": Tolerance(output=1e-4, channel=4e-4),
    "float16": Tolerance(output=1e-2, channel=0.04),
    "int8": Tolerance(output=0.05, channel=0.2),
    "full_int8": Tolerance(output=0.25, channel=1.0, step=1 / 256),
}

# Numbers of examples that a file is resized to, to see whether it can be.
_RESIZED = (2, 3)


@dataclass(frozen=True)
class Proof:
    """What was found when a file was compared with its Keras model.

    Attributes:
        errors: Runtime -> the largest difference of its outputs from Keras's, as a fraction of the
            largest value of that output.
        agreement: The fraction of predictions that get the same class, in the runtime and output
            where it is smallest; `None` where no output has classes.
        exact: Whether it was compared with the same integers stored densely, and gives the same
            bits.
        lost_channels: Output and channel of every one that is off by half of its range in Keras or more.
        score_gap: How much lower Keras scores a class that won in the file than its own, at most, as a
            fraction of the output's largest value.
        channel_error: The largest error of a channel, as a fraction of its own range in Keras.
        compared: How many examples were compared.
        given: How many samples they were taken from; 0 if they were made up.
        calibrated: How many samples calibrated activations; 0 where that is not needed.
        batch: How many examples the file takes at once.
        resizes: Whether a runtime can resize it to batches of other sizes.
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


def prove(built, source, target):
    """Proves a file against the Keras model it was made from.

    Args:
        built: The `Built`.
        source: The `Source`.
        target: What it was made for; `"micro"` is run in TensorFlow Lite Micro as well, if that is
            installed.

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
        dense = verify.answers(built.dense_integers, inputs, list(results))
        verify.check_equal(results, dense, source.outputs)
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
        score_gap=classes.behind,
        channel_error=channels.error,
        compared=len(inputs[0]),
        given=source.given if source.real else 0,
        calibrated=len(calibrating[0]) if calibrating else 0,
        batch=source.batch,
        resizes=resizes,
    )


def _answers(data, inputs):
    """What the runtimes answer, and whether they answer the same in batches of other sizes."""
    sizes = [size for size in _RESIZED if size <= len(inputs[0])]
    resized = [f"{name}@{size}" for name in interpreter.RUNTIMES for size in sizes]
    results = verify.answers(data, inputs, [*interpreter.RUNTIMES, *resized])
    found = [results.pop(name) for name in resized]
    same = [
        _are_alike(answer, results[name.partition("@")[0]])
        for name, answer in zip(resized, found, strict=True)
    ]
    return results, bool(same) and all(same)


def _are_alike(answer, whole):
    """Whether some examples got the answer that they get one by one."""
    return not isinstance(answer, str) and all(
        got.shape[1:] == all_of.shape[1:]
        and np.allclose(got, all_of[: len(got)], rtol=1e-3, atol=1e-3 * np.abs(all_of).max())
        for got, all_of in zip(answer, whole, strict=True)
    )


def _expected(source, samples):
    """`(name, array)` for each output of the model in Keras."""
    expected = list(zip(source.outputs, reference.answers(source.model, samples), strict=True))
    for name, wanted in expected:
        if not np.isfinite(wanted).all():
            kind = "the samples" if source.real else "made-up inputs; pass `samples`, real ones"
            raise ExportError(f"The output {name!r} is not finite in Keras itself on {kind}.")
    return expected
