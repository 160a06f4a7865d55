"""SNIP: which weights does the loss depend on (Lee et al. 2019, https://arxiv.org/abs/1810.02340)."""

from typing import Any

import keras
import numpy as np

from keras_lottery.model import variables
from keras_lottery.scorers import _loss


def snip(model: keras.Model, data: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores weights by the change of the loss if they went: `|gradient * weight|` (section 4.1).

    The gradient of the mean loss over all of `data`, at the weights as they are. Before any
    training, in scope `"globally"`, this is SNIP; after it, the first-order Taylor score.

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
    >>> snip(model, data, np.random.default_rng(0))["out/kernel"].ravel().tolist()
    [4.0, 8.0]
    """
    weights = variables.candidates(model)
    gradients = _loss.gradients(model, weights, data)
    return {
        name: np.abs(gradient * keras.ops.convert_to_numpy(weights[name]))
        for name, gradient in gradients.items()
    }
