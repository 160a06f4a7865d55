"""The proof of an exported file: it loads, answers as Keras does, and is zero where the model is.

Every check returns what it measured, or raises `ExportError` naming the tensor and the runtime.
"""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite import flatbuffer, levels, quantize, runtimes
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.graph import Graph


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


def weights(kernels, dense, final):
    """Reads every kernel back: zero wherever the model's is, and else its value, rounded.

    Args:
        kernels: `dict`: name -> array, as Keras has them.
        dense: The dense float32 `ModelT` in which constants carry the names of the kernels.
        final: The `ModelT` of the file to prove.

    Raises:
        ExportError: A kernel is not in the file, a pruned weight of it is alive there, or another
            is further from its value than its type explains.
    """
    expected = {levels.title(tensor): tensor for _, _, tensor in flatbuffer.constants(dense)}
    found = {levels.title(tensor): place for *place, tensor in flatbuffer.constants(final)}
    for name, kernel in kernels.items():
        if name not in expected or name not in found:
            # The converter may merge a kernel without zeros, and drop one of nothing but zeros.
            if kernel.all() or not kernel.any():
                continue
            raise ExportError(f"{name!r} has pruned weights and is no constant of the file.")
        wanted = flatbuffer.dense(dense, expected[name]).reshape(-1)
        got, rounding = _real_values(final, *found[name])
        alive = np.count_nonzero(got[wanted == 0])
        if alive:
            raise ExportError(f"{name!r} has {alive} pruned weights that are alive in the file.")
        off = np.count_nonzero(np.abs(got - wanted) > rounding)
        if off:
            raise ExportError(f"{name!r} has {off} weights of another value in the file.")


def _real_values(model, subgraph, index):
    """A constant's values, flat, and how far rounding to its type may have moved each."""
    tensor = subgraph.tensors[index]
    values = flatbuffer.dense(model, tensor)
    if tensor.type == schema.TensorType.FLOAT16:
        values = values.astype(np.float32).reshape(-1)
        return values, 2.0**-11 * np.abs(values) + 2.0**-25
    if tensor.type != schema.TensorType.INT8:
        return values.reshape(-1), 0.0
    # A sparse constant has its scales where it is unpacked.
    unpacked = [tensor] + [
        subgraph.tensors[copy] for use in Graph(model, subgraph).uses(index) for copy in use.copies
    ]
    parameters = next(t.quantization for t in unpacked if _has_scale(t))
    real, step = quantize.restored(values, parameters)
    rounding = np.broadcast_to(quantize.HALF_A_STEP * step, values.shape)
    return real.reshape(-1), rounding.reshape(-1)


def _has_scale(tensor):
    return tensor.quantization is not None and tensor.quantization.scale is not None


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
