"""The proof of an exported file: it loads, answers as Keras does, and is zero where the model is.

Every check returns what it measured, or raises `ExportError` naming the tensor and the runtime.
"""

from dataclasses import dataclass

import numpy as np

from keras_lottery.exporters.tflite import flatbuffer, levels, runtimes
from keras_lottery.exporters.tflite.errors import ExportError


@dataclass(frozen=True)
class Agreement:
    """How well a file's outputs agree with Keras, in one runtime.

    Attributes:
        error: The largest difference, as a fraction of the largest value of that output in Keras.
        classes: The fraction of examples for which both name the same class; `None` where no
            output is a list of class scores.
    """

    error: float
    classes: float | None


def outputs(data, inputs, expected, tolerance, names=runtimes.RUNTIMES):
    """Runs a file in every runtime and compares its outputs with the expected ones.

    Args:
        data: The flatbuffer, `bytes`.
        inputs: A list with one array of shape `(examples, ...)` for each input.
        expected: A list with one array of shape `(examples, ...)` for each output, from Keras.
        tolerance: The largest error allowed, as a fraction of the output's largest value.
        names: The runtimes.

    Returns:
        `dict`: runtime -> `Agreement`.

    Raises:
        ExportError: A runtime cannot load or run the file, or an output is off.
    """
    results = {}
    for runtime, result in runtimes.invoke_apart(data, inputs, names).items():
        if isinstance(result, str):
            raise ExportError(f"{runtime} cannot run the exported file: {result}")
        if len(result) != len(expected):
            raise ExportError(f"The file has {len(result)} outputs, the model {len(expected)}.")
        pairs = list(zip(result, expected, strict=True))
        errors = [
            _error(f"output {index} of {runtime}", got, wanted, tolerance)
            for index, (got, wanted) in enumerate(pairs)
        ]
        classes = [
            float(np.mean(got.argmax(axis=1) == wanted.argmax(axis=1)))
            for got, wanted in pairs
            if wanted.ndim == 2 and wanted.shape[1] > 1
        ]
        results[runtime] = Agreement(max(errors), min(classes, default=None))
    return results


def zeros(kernels, dense, final):
    """Checks that a file is zero wherever a kernel of the model is.

    Args:
        kernels: `dict`: name -> array, as Keras has them.
        dense: The dense `ModelT` in which constants carry the names of the kernels they hold.
        final: The `ModelT` of the file to prove.

    Raises:
        ExportError: A pruned weight is alive in the file, or a pruned kernel is not in it.
    """
    expected, found = (
        {levels.title(tensor): tensor for _, _, tensor in flatbuffer.constants(model)}
        for model in (dense, final)
    )
    for name, kernel in kernels.items():
        if kernel.all():
            continue
        if name not in expected or name not in found:
            raise ExportError(f"{name!r} has pruned weights and is no constant of the file.")
        pruned = flatbuffer.dense(dense, expected[name]).reshape(-1) == 0
        alive = np.count_nonzero(flatbuffer.dense(final, found[name]).reshape(-1)[pruned])
        if alive:
            raise ExportError(f"{name!r} has {alive} pruned weights that are alive in the file.")


def _error(where, got, wanted, tolerance):
    if got.shape != wanted.shape:
        raise ExportError(f"The {where} has shape {got.shape}, in Keras {wanted.shape}.")
    if not np.isfinite(got).all():
        raise ExportError(f"The {where} is not finite.")
    scale = float(np.abs(wanted).max(initial=0)) or 1.0
    error = float(np.abs(got.astype(np.float64) - wanted).max(initial=0)) / scale
    if error > tolerance:
        raise ExportError(
            f"The {where} is off by {error:.2g} of its largest value in Keras; "
            f"{tolerance:.2g} is allowed."
        )
    return error
