"""The outputs that a file is compared with: the model's own, computed in float32."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.model import keras_internals


@contextlib.contextmanager
def in_float32(model: keras.Model) -> Iterator[None]:
    """Changes the model to compute in float32 inside the block, and back afterwards."""
    halves = [
        (layer, layer.dtype_policy)
        for layer in keras_internals.flat_layers(model)
        if layer.dtype_policy.compute_dtype in ("float16", "bfloat16")
    ]
    for layer, _ in halves:
        layer.dtype_policy = "float32"
    try:
        yield
    finally:
        for layer, policy in halves:
            layer.dtype_policy = policy


def outputs(model: keras.Model, samples: Any) -> Any:
    """The model's own outputs on the samples, computed in float32, in their structure.

    Raises:
        ExportError: Keras itself cannot compute them.
    """
    inputs = keras.tree.map_structure(np.asarray, samples)
    with in_float32(model):
        try:
            found = _call(model, inputs)
        except Exception as error:  # the model's own code may raise anything
            raise ExportError(
                f"Keras cannot call {model.name!r} on the samples: {error}"
            ) from error
    return found


def answers(model: keras.Model, samples: Any) -> list[np.ndarray]:
    """The model's `outputs` as a flat list of arrays."""
    return [np.asarray(output) for output in flat(outputs(model, samples))]


def flat(structure: Any) -> list[Any]:
    """The parts of what a model returns, without `None`s."""
    return [part for part in keras.tree.flatten(structure) if part is not None]


def _call(model: keras.Model, inputs: Any) -> Any:
    """Calls the model on all examples, or batch by batch if it was built for a fixed batch."""
    declared = keras.tree.flatten(getattr(model, "inputs", None) or [])
    size = max((tensor.shape[0] or 0 for tensor in declared if tensor.shape), default=0)
    if not size:
        return model(inputs, training=False)
    count, found = len(keras.tree.flatten(inputs)[0]), []
    for start in range(0, count, size):
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        batch = keras.tree.map_structure(lambda array, chosen=chosen: array[chosen], inputs)
        found.append(model(batch, training=False))
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:count], *found)
