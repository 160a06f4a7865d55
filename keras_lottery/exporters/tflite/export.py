"""`export(model, path) -> Report`: a pruned Keras model as a proven sparse `.tflite` file."""

import contextlib
import os
from pathlib import Path

import keras

from keras_lottery.exporters.tflite import (
    flatbuffer,
    inspection,
    latency,
    report,
    signature,
    size,
    source,
    verify,
)
from keras_lottery.exporters.tflite.errors import ExportError

TARGETS = {"size": size.encode, "latency": latency.encode}

# The largest error allowed, as a fraction of an output's largest value.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": 0.1}

# The most examples to compare; each is run twice.
_COMPARED = 64


def export(model, path, *, target="size", precision="float32", samples=None, overwrite=False):
    """Exports a pruned Keras model to TFLite, opens the file again and proves it.

    The file is run in LiteRT with XNNPACK and with the built-in kernels, and its outputs are
    compared with Keras's. Every weight is read back: it is zero where the model's is. A file that
    fails is not left under its name.

    Args:
        model: A built `keras.Model` of any kind, its pruned weights zero. It is left unchanged.
        path: The file to write.
        target: What the file should be good at. `"size"`: the fewest bytes.
        precision: How weights are stored, `"float32"`, `"float16"` or `"int8"`. The network
            computes in float32 with all three.
        samples: Real inputs, as the model is called with: an array, or a list or dict of arrays,
            their first axis the examples. Without them made-up inputs are compared.
        overwrite: Whether a file already at `path` is replaced.

    Returns:
        A `Report`; `print` it.

    Raises:
        ExportError: The model cannot be exported or the file failed its proof.
        FileExistsError: There is a file at `path`, and `overwrite` is false.
        ValueError: An argument is none of its choices, or `samples` do not fit the model.
    """
    path = Path(path)
    _choice("target", target, TARGETS)
    _choice("precision", precision, TOLERANCES)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; pass overwrite=True to replace it.")
    with _appearing_whole(path) as file:
        origin = source.prepare(model, samples)
        encoded = flatbuffer.read(origin.dense)
        reasons = TARGETS[target](encoded, precision)
        data = flatbuffer.write(encoded)
        agreements = prove(data, origin, TOLERANCES[precision])
        file.write(data)
    return report.of(
        data,
        path=path,
        target=target,
        precision=precision,
        dense=origin.dense,
        dense_int8=size.dense_int8(origin.dense),
        reasons=reasons,
        errors={runtime: found.error for runtime, found in agreements.items()},
        agreement=_classes(agreements),
        notes=_notes(origin),
    )


def prove(data, origin, tolerance):
    """Proves a file against the Keras model it was made from.

    Args:
        data: The file's bytes.
        origin: The `Source`.
        tolerance: The largest error of an output allowed, as a fraction of its largest value.

    Returns:
        `dict`: runtime -> `verify.Agreement`.

    Raises:
        ExportError: The file is not a sparse copy of the model.
    """
    final = flatbuffer.read(data)
    verify.zeros(origin.kernels, flatbuffer.read(origin.dense), final)
    defects = inspection.inspect(data).defects
    if defects:
        raise ExportError(f"{defects[0].tensor!r} is stored wrongly: {defects[0].cause}")
    compared = keras.tree.map_structure(lambda array: array[:_COMPARED], origin.samples)
    expected = signature.answers(origin.model, compared)
    return verify.outputs(data, keras.tree.flatten(compared), expected, tolerance)


@contextlib.contextmanager
def _appearing_whole(path):
    """A file to write that takes its name only when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _notes(origin):
    notes = []
    if all(kernel.all() for kernel in origin.kernels.values()):
        notes.append("The model has no pruned weight; every weight is stored densely.")
    if not origin.real:
        notes.append("Compared on made-up inputs; pass samples to compare on real ones.")
    return notes


def _classes(agreements):
    found = [each.classes for each in agreements.values() if each.classes is not None]
    return min(found, default=None)


def _choice(argument, value, choices):
    if value not in choices:
        raise ValueError(f"No {argument} {value!r}; choose one of {', '.join(choices)}.")
