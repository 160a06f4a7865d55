"""`prove(built, origin, target) -> Proof`: an exported file against the model it was made from."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_lottery.exporters.tflite import verify
from keras_lottery.exporters.tflite.conversion import reference
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import bitmask, flatbuffer
from keras_lottery.exporters.tflite.runtimes import interpreter
from keras_lottery.exporters.tflite.targets import micro

# By `Built.precision`, the largest error allowed of an output, as a fraction of its largest value.
# That of integers is for what the converter loses by rounding activations too, which depends on the
# network: trained ones for digits lost 0.005 to 0.03. Storing them sparsely adds nothing to it.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": 0.05, "integers": 0.25}

# The most examples to compare; each is run in every runtime.
_COMPARED = 64


@dataclass(frozen=True)
class Proof:
    """What was found when a file was compared with its Keras model.

    Attributes:
        errors: Runtime -> the largest difference of its outputs from Keras's, as a fraction of the
            largest value of that output.
        agreement: The fraction of examples that get the same class, in the runtime and output where
            it is smallest; `None` where no output is a list of class scores.
        exact: Whether it was compared with the same integers stored densely, and gives the same
            bits.
        lost: Output and position of every value that is off by as much as it varies in Keras.
    """

    errors: dict[str, float]
    agreement: float | None = None
    exact: bool = False
    lost: tuple[tuple[str, int], ...] = ()


def prove(built, origin, target):
    """Proves a file against the Keras model it was made from.

    Args:
        built: The `source.Built`.
        origin: The `source.Source`.
        target: What it was made for; `"micro"` is run in TensorFlow Lite Micro as well, if that is
            installed.

    Returns:
        A `Proof`.

    Raises:
        ExportError: The file is not a faithful sparse copy of the model.
    """
    # What LiteRT lacks the operator for, it is shown decoded.
    plain = bitmask.undecoded(built.data) if target == "micro" else built.data
    model = flatbuffer.read(plain)
    verify.operators(model)
    verify.storage(model)
    verify.weights(origin, model)

    compared = keras.tree.map_structure(lambda array: array[:_COMPARED], origin.samples)
    expected = _expected(origin, compared)
    inputs = keras.tree.flatten(compared)
    results = verify.answers(plain, inputs)
    if target == "micro" and micro.is_installed():
        results |= verify.answers(built.data, inputs, [interpreter.MICRO])
    if built.integers is not None:
        dense = verify.answers(built.integers, inputs, list(results))
        verify.equal(results, dense, origin.outputs)
    tolerance = TOLERANCES[built.precision]
    return Proof(
        errors=verify.errors(results, expected, tolerance),
        agreement=verify.classes(results, expected, tolerance),
        exact=built.integers is not None,
        lost=verify.lost(results, expected),
    )


def _expected(origin, samples):
    """`(name, array)` for each output of the model in Keras."""
    expected = list(zip(origin.outputs, reference.answers(origin.model, samples), strict=True))
    for name, wanted in expected:
        if not np.isfinite(wanted).all():
            kind = "the samples" if origin.real else "made-up inputs; pass `samples`, real ones"
            raise ExportError(f"The output {name!r} is not finite in Keras itself on {kind}.")
    return expected
