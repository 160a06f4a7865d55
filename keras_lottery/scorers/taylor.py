"""Taylor scores of a trained network (Molchanov et al. 2019, https://arxiv.org/abs/1906.10771)."""

from typing import Any

import keras
import numpy as np

from keras_lottery.model import variables
from keras_lottery.scorers import _derivatives, _loss


def taylor(model: keras.Model, data: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores weights by the mean of `|gradient * weight|` over batches (section 3.1).

    The gradient of a trained network vanishes over all its data, and does not in single batches:
    so the size is taken in each batch, where `snip` takes it once. With one batch they are equal.

    Args:
        model: A built and compiled `keras.Model`.
        data: A pair of arrays `(x, y)`, read 256 samples at a time, or batches of such pairs that
            can be read again.
        rng: Not used.

    Returns:
        A dict from kernel name to scores of the kernel's shape.

    Example:

    >>> layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="out")
    >>> model = keras.Sequential([keras.Input((2,)), layer])
    >>> model.compile(loss="mse")
    >>> data = np.array([[1.0, 2.0]]), np.array([[1.0]])
    >>> taylor(model, data, np.random.default_rng(0))["out/kernel"].ravel().tolist()
    [4.0, 8.0]
    """
    weights = variables.candidates(model)
    values = [keras.ops.convert_to_numpy(weight) for weight in weights.values()]

    def sizes(loss: Any) -> list[np.ndarray]:
        found = _derivatives.gradients(loss, list(weights.values()))
        return [np.abs(gradient * value) for gradient, value in zip(found, values, strict=True)]

    return _loss.mean(model, weights, data, sizes)
