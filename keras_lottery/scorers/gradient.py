"""The size of the gradient: what RigL grows by (Evci et al. 2020, https://arxiv.org/abs/1911.11134)."""

from typing import Any

import keras
import numpy as np

from keras_lottery.model import variables
from keras_lottery.scorers import _loss


def gradient(model: keras.Model, data: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores weights by the size of the loss's gradient, pruned weights included (section 3).

    The gradient of the mean loss over all of `data`, at the weights as they are.

    Args:
        model: A built and compiled `keras.Model`.
        data: A pair of arrays `(x, y)`, or batches of such pairs that can be read again.
        rng: Not used.

    Returns:
        A dict from kernel name to scores of the kernel's shape.

    Example:

    >>> layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="out")
    >>> model = keras.Sequential([keras.Input((2,)), layer])
    >>> model.compile(loss="mse")
    >>> data = np.array([[1.0, 2.0]]), np.array([[1.0]])
    >>> gradient(model, data, np.random.default_rng(0))["out/kernel"].ravel().tolist()
    [4.0, 8.0]
    """
    found = _loss.gradients(model, variables.candidates(model), data)
    return {name: np.abs(values) for name, values in found.items()}
