"""What a file is compared with: the model's own outputs, computed in float32."""

import contextlib

import keras
import numpy as np

from keras_lottery.exporters.tflite.errors import ExportError


@contextlib.contextmanager
def in_float32(model):
    """Inside, the model itself is changed to compute in float32; afterwards it is as before."""
    halves = [
        (layer, layer.dtype_policy)
        for layer in model._flatten_layers()
        if layer.dtype_policy.compute_dtype in ("float16", "bfloat16")
    ]
    for layer, _ in halves:
        layer.dtype_policy = "float32"
    try:
        yield
    finally:
        for layer, policy in halves:
            layer.dtype_policy = policy


def outputs(model, samples):
    """The model's own outputs on the samples, computed in float32: in their structure, arrays.

    Raises:
        ExportError: Keras itself cannot compute them.
    """
    inputs = keras.tree.map_structure(np.asarray, samples)
    with in_float32(model):
        try:
            found = model(inputs, training=False)
        except Exception as error:  # the model's own code may raise anything
            raise ExportError(
                f"Keras cannot call {model.name!r} on the samples: {error}"
            ) from error
    return keras.tree.map_structure(lambda output: output.numpy(), found)


def answers(model, samples):
    """The model's `outputs` as a flat list."""
    return keras.tree.flatten(outputs(model, samples))
