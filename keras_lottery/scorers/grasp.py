"""GraSP: keep the flow of the gradient (Wang et al. 2020, https://arxiv.org/abs/2002.07376)."""

from typing import Any

import keras
import numpy as np

from keras_lottery.model import variables
from keras_lottery.scorers import _loss


def grasp(model: keras.Model, data: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores weights by `weight * (Hessian @ gradient)`, sign included (equation 8).

    Removing a weight lowers the squared norm of the gradient by about twice its score. So the
    weights with the lowest scores are pruned: without them the gradient grows. The paper divides
    logits by a temperature; a compiled loss does not say what its logits are, so here it is 1.

    Args:
        model: A built and compiled `keras.Model`.
        data: A pair of arrays `(x, y)`, or batches of such pairs that can be read again. It is read
            twice.
        rng: Not used.

    Returns:
        A dict from kernel name to scores of the kernel's shape, of either sign.

    Example:

    >>> layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="out")
    >>> model = keras.Sequential([keras.Input((2,)), layer])
    >>> model.compile(loss="mse")
    >>> data = np.array([[1.0, 2.0]]), np.array([[1.0]])
    >>> grasp(model, data, np.random.default_rng(0))["out/kernel"].ravel().tolist()
    [40.0, 80.0]
    """
    weights = variables.candidates(model)
    gradients = _loss.gradients(model, weights, data)
    curvature = _loss.products(model, weights, data, gradients)
    return {
        name: curvature[name] * keras.ops.convert_to_numpy(weight)
        for name, weight in weights.items()
    }
