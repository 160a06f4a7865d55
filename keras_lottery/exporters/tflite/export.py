"""`export(model, path) -> Report`: a pruned Keras model as a proven sparse `.tflite` file."""

import os
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_lottery import variables
from keras_lottery.exporters.tflite import convert, flatbuffer, kernels, signature, verify
from keras_lottery.exporters.tflite.errors import ExportError

# Examples to compare on where the user gives none, and the most to take of what is given.
MADE_UP = 8
COMPARED = 64

# The largest error allowed, as a fraction of an output's largest value.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": 0.1}


def export(model, path, *, target="size", precision="float32", samples=None, overwrite=False):
    """Exports a pruned Keras model to TFLite, opens the file again and proves it.

    Args:
        model: A built `keras.Model` of any kind, its pruned weights zero. It is left unchanged.
        path: The file to write.
        target: What to make the file good at.
        precision: How weights are stored: `"float32"`, `"float16"` or `"int8"`.
        samples: Real inputs as the model is called with: an array, or a list or dict of them, the
            first axis being the examples. Without them made-up inputs are compared.
        overwrite: Whether a file that is already there may be replaced.

    Returns:
        A `Report`.

    Raises:
        ExportError: The model cannot be exported or the file failed its proof; no file is written.
        FileExistsError: There is a file at `path` and `overwrite` is false.
        ValueError: An argument is not one of the choices, or `samples` do not fit the model.
    """
    path = Path(path)
    if precision not in TOLERANCES:
        raise ValueError(f"No precision {precision!r}; choose one of {', '.join(TOLERANCES)}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
    called_with = signature.of(model, samples)
    weights = {name: variable.numpy() for name, variable in variables.prunable(model).items()}
    dense = flatbuffer.read(convert.convert(model, called_with))
    found = kernels.find(weights, dense)
    _check_found(weights, found)
    for name, tensor in found.items():
        tensor.name = name
    data = flatbuffer.write(dense)
    if samples is None:
        samples = signature.made_up(called_with, MADE_UP)
    compared = keras.tree.map_structure(lambda a: np.asarray(a)[:COMPARED], samples)
    agreement = verify.outputs(
        data,
        keras.tree.flatten(compared),
        signature.answers(model, compared),
        TOLERANCES[precision],
    )
    save(data, path)
    return agreement


def _check_found(weights, found):
    missing = [n for n, w in weights.items() if n not in found and not w.all()]
    if missing:
        raise ExportError(f"{missing[0]!r} has pruned weights and is no constant of the file.")


def save(data, path):
    """Writes bytes to a file that appears under its name only when complete."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
