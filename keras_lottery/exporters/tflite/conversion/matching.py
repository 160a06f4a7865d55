"""Finding a Keras model's weights among a TFLite file's constants, by shape and content.

The converter transposes and reshapes weights, scales those before a normalisation, and names
constants as it likes. What it keeps is which weights are zero, and that is what a ticket is about.
"""

import itertools
import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import flatbuffer, levels

# A weight times a normalisation's factor is rounded a few times on the way.
_RATIO_TOLERANCE = 1e-4

# How many of the gates along its last axis each piece has of a recurrent kernel that is used in
# pieces: by LSTM with implementation=1 and ConvLSTM, and by GRU with reset_after=False.
_PIECES = ((1, 1, 1, 1), (1, 1, 1), (2, 1))

# Enough values to tell most layouts apart without turning the whole weight.
_HEAD = 4096


def find(weights, model):
    """Matches weights with the constants that hold them.

    Args:
        weights: `dict`: name -> array of rank 2 or more.
        model: A dense float32 file, as `flatbuffer.read` gives it.

    Returns:
        `dict`: name -> `(the file's tensor, the order of the weight's axes in it)`, for every
        weight that is one constant in it.
    """
    constants = {}
    for _, _, tensor in flatbuffer.constants(model):
        if tensor.type == schema.TensorType.FLOAT32:
            constants.setdefault(math.prod(levels.shape(tensor)), []).append(tensor)
    found = {}
    # Of several that a weight may be, the one that it surely is: so exact matches go first.
    for match in (_equal_order, order_of):
        for name, weight in weights.items():
            candidates = [] if name in found else constants.get(weight.size, [])
            for tensor in candidates:
                order = match(flatbuffer.dense(model, tensor), weight)
                if order is not None:
                    found[name] = tensor, order
                    candidates.remove(tensor)
                    break
    return found


def pieces_of(weight, model):
    """Cuts a weight along its last axis into pieces that are constants of a file.

    Args:
        weight: An array of rank 2 or more, which is not one constant itself.
        model: As of `find`.

    Returns:
        A list of arrays, all of them to be found; empty if there is no such cut.
    """
    for gates in _PIECES:
        width, rest = divmod(weight.shape[-1], sum(gates))
        if rest == 0:
            pieces = np.split(weight, np.cumsum(gates)[:-1] * width, axis=-1)
            if len(find(dict(enumerate(pieces)), model)) == len(pieces):
                return pieces
    return []


def order_of(constant, weight):
    """The order of a weight's axes in a constant that is it, up to factors along one axis.

    Args:
        constant: An array of as many values; its shape may split or join the weight's axes.
        weight: The weight.

    Returns:
        A tuple of axes, as for `numpy.transpose`; `None` if the constant is not the weight.

    >>> kernel = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]])
    >>> order_of(kernel.T * [[2.0], [3.0], [5.0]], kernel)
    (1, 0)
    >>> order_of(kernel.T + 1, kernel), order_of(0 * kernel, kernel)
    (None, None)
    """
    if weight.any() and not constant.any():
        return None  # Factors of zero would make it any weight.
    orders = itertools.permutations(range(weight.ndim))
    return next((o for o in orders if _proportional(constant, weight.transpose(o))), None)


def _equal_order(constant, weight):
    """As `order_of`, of a constant that is the weight exactly."""
    flat = constant.reshape(-1)
    for order in itertools.permutations(range(weight.ndim)):
        turned = weight.transpose(order)
        if np.array_equal(flat[:_HEAD], turned.flat[:_HEAD]) and np.array_equal(
            flat, turned.reshape(-1)
        ):
            return order
    return None


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
