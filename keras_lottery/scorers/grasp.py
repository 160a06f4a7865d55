"""GraSP: keep the flow of the gradient (Wang et al. 2020, https://arxiv.org/abs/2002.07376)."""

from typing import Any

import keras
import numpy as np

from keras_lottery.model import variables
from keras_lottery.scorers import _loss


def grasp(model: keras.Model, data: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores weights by `weight * (Hessian @ gradient)`, sign included (equation 8).

    Without a weight the squared norm of the gradient is about twice this smaller. So weights with
    the lowest scores are pruned, without which the gradient grows. The paper divides logits by a
    temperature, which a compiled loss does not tell; here it is 1.

    Args:
        model: A built and compiled `keras.Model`.
        data: A pair of arrays `(x, y)`, or batches of such pairs that can be read again. It is read
            twice.
        rng: Not used.

    Returns:
        A dict from kernel name to scores of the kernel's shape, of either sign.
    """
    weights = variables.candidates(model)
    gradients = _loss.gradients(model, weights, data)
    curvature = _loss.products(model, weights, data, gradients)
    return {
        name: curvature[name] * keras.ops.convert_to_numpy(weight)
        for name, weight in weights.items()
    }
