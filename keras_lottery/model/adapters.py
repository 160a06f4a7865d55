"""Layers that compute with another kernel than the one they store: LoRA, quantisation."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_lottery.model import keras_internals
from keras_lottery.model.arrays import array

# LoRA adds the product of two small matrices to a kernel; with the second at zero it adds nothing.
_SECOND = "_b"


def is_adapter(name: str) -> bool:
    """Return whether a variable of this name is an adapter of LoRA."""
    return "lora_" in name.rpartition("/")[2]


def neutral(name: str, variable: keras.Variable) -> np.ndarray:
    """Return a value of an adapter with which the layer computes with its stored kernel."""
    own = name.rpartition("/")[2].partition("#")[0]
    return np.zeros(variable.shape, variable.dtype) if own.endswith(_SECOND) else array(variable)


def revived_by_adapters(
    model: keras.Model, kernels: Mapping[str, keras.Variable], masks: Mapping[str, np.ndarray]
) -> dict[str, int]:
    """Count the pruned weights that adapters change in the kernel that a layer computes with.

    Args:
        model: The kernels' model.
        kernels: The masked variables by name.
        masks: Their masks by name, True = alive.

    Returns:
        A dict from kernel name to count, without counts of 0.
    """
    counts = {}
    adapted = [
        layer
        for layer in keras_internals.flat_layers(model)
        if getattr(layer, "lora_enabled", False)
    ]
    for layer in adapted:
        for name, kernel in kernels.items():
            stored = keras_internals.stored_kernel(layer)
            if stored is kernel:
                used = array(layer.kernel if hasattr(layer, "kernel") else layer.embeddings)
                count = int(np.count_nonzero((used != array(kernel))[~masks[name]]))
                if count:
                    counts[name] = count
    return counts
