"""Finding a Keras model's weights among a TFLite file's constants, by shape and content.

The converter transposes and reshapes weights, scales those before a normalisation, and names
constants as it likes. What it keeps is which weights are zero, and that is what a ticket is about.
"""

import itertools
import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite import flatbuffer, levels

# A weight times a normalisation's factor is rounded a few times on the way.
_RATIO_TOLERANCE = 1e-4

# Enough values to tell most layouts apart without turning the whole weight.
_HEAD = 4096


def find(weights, model):
    """Matches weights with the constants that hold them.

    Args:
        weights: `dict`: name -> array of rank 2 or more.
        model: A dense float32 file, as `flatbuffer.read` gives it.

    Returns:
        `dict`: name -> the file's tensor, for every weight that is one constant in it.
    """
    constants = {}
    for _, _, tensor in flatbuffer.constants(model):
        if tensor.type == schema.TensorType.FLOAT32:
            constants.setdefault(math.prod(levels.shape(tensor)), []).append(tensor)
    found = {}
    # Of several that a weight may be, the one that it surely is: so exact matches go first.
    for matches in (_is, holds):
        for name, weight in weights.items():
            candidates = [] if name in found else constants.get(weight.size, [])
            for tensor in candidates:
                if matches(flatbuffer.dense(model, tensor), weight):
                    found[name] = tensor
                    candidates.remove(tensor)
                    break
    return found


def holds(constant, weight):
    """Whether a constant is a weight, its axes in some order, up to factors along one axis.

    >>> kernel = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]])
    >>> holds(kernel.T * [[2.0], [3.0], [5.0]], kernel)
    True
    >>> holds(kernel.T + 1, kernel), holds(0 * kernel, kernel)
    (False, False)
    """
    if weight.any() and not constant.any():
        return False  # Factors of zero would make it any weight.
    return any(_proportional(constant, turned) for turned in _turned(weight))


def _is(constant, weight):
    """Whether a constant is a weight, its axes in some order."""
    flat = constant.reshape(-1)
    return any(
        np.array_equal(flat[:_HEAD], turned.flat[:_HEAD])
        and np.array_equal(flat, turned.reshape(-1))
        for turned in _turned(weight)
    )


def _turned(weight):
    return (weight.transpose(order) for order in itertools.permutations(range(weight.ndim)))


def _proportional(constant, turned):
    head = turned.flat[:_HEAD] != 0
    if constant.reshape(-1)[:_HEAD][~head].any():
        return False
    turned = turned.reshape(constant.shape)
    alive = turned != 0
    if constant[~alive].any():
        return False
    if np.array_equal(constant, turned):
        return True
    ratio = np.divide(constant, turned, out=np.zeros(turned.shape, np.float64), where=alive)
    for axis in range(constant.ndim):
        others = tuple(a for a in range(constant.ndim) if a != axis)
        low = ratio.min(others, where=alive, initial=np.inf)
        high = ratio.max(others, where=alive, initial=-np.inf)
        # Where an index has no live weight low exceeds high, and any factor will do.
        if (high - low <= _RATIO_TOLERANCE * np.maximum(np.abs(high), np.abs(low))).all():
            return True
    return False
