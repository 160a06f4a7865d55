"""Finds a Keras model's weights among a TFLite file's constants, by shape and content.

The converter transposes and reshapes weights, scales those before a normalisation, and names
constants as it likes. But it keeps which weights are zero, and a ticket is about those.
"""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import flatbuffer

# A weight times a normalisation's factor is rounded a few times on the way.
_RATIO_TOLERANCE = 1e-4

# Some layers use a recurrent kernel in pieces. Each entry lists the gates of each piece, along the
# last axis: of LSTM with implementation=1 and ConvLSTM, and of GRU with reset_after=False.
_PIECES = ((1, 1, 1, 1), (1, 1, 1), (2, 1))

# Enough values to tell most layouts apart without turning the whole weight.
_HEAD = 4096

# The order of a weight's axes in its constant, as for `numpy.transpose`.
Order = tuple[int, ...]


def find(
    weights: Mapping[str, np.ndarray], file: schema.ModelT
) -> dict[str, tuple[schema.TensorT, Order]]:
    """Matches weights with the constants that hold them.

    Args:
        weights: `dict`: name -> array of rank 2 or more.
        file: A dense float32 file, as `flatbuffer.read` gives it.

    Returns:
        `dict`: name -> `(the file's tensor, the order of the weight's axes in it)`, for every
        weight that is one constant in it.
    """
    constants = _floats(file)
    found: dict[str, tuple[schema.TensorT, Order]] = {}
    # Of several constants that a weight may be, take an equal one first, then the one with the
    # fewest zeros of its own; last what only zeros tell.
    for match in (_equal_order, order_of, _order_by_zeros):
        pairs = [
            (np.count_nonzero(weight) - np.count_nonzero(constant), name, number, order)
            for name, weight in weights.items()
            if name not in found
            for number, (_, constant) in enumerate(constants)
            if constant.size == weight.size and (order := match(constant, weight)) is not None
        ]
        taken: set[int] = set()
        for _, name, number, order in sorted(pairs, key=lambda pair: pair[0]):
            if name not in found and number not in taken:
                found[name] = constants[number][0], order
                taken.add(number)
        constants = [each for number, each in enumerate(constants) if number not in taken]
    return found


def pieces_of(
    weight: np.ndarray, file: schema.ModelT, taken: Iterable[schema.TensorT]
) -> list[tuple[np.ndarray, schema.TensorT | None, Order]]:
    """Cuts a weight along its last axis into pieces that are constants of a file.

    Args:
        weight: An array of rank 2 or more, which is not one constant itself.
        model: As of `find`.
        taken: The tensors of other weights.

    Returns:
        A list with `(piece, tensor, order)` for every piece. A piece that equals an earlier one, or
        is nothing but zeros, has no tensor. The list is empty if there is no such cut.
    """
    free = [each for each in _floats(file) if not any(each[0] is tensor for tensor in taken)]
    for gates in _PIECES:
        width, rest = divmod(weight.shape[-1], sum(gates))
        if rest == 0:
            pieces = np.split(weight, np.cumsum(gates)[:-1] * width, axis=-1)
            matches = [_equal(piece, pieces[:i], free) for i, piece in enumerate(pieces)]
            found = [
                (piece, *match)
                for piece, match in zip(pieces, matches, strict=True)
                if match is not None
            ]
            if len(found) == len(pieces):
                return found
    return []


def _equal(
    piece: np.ndarray,
    earlier: Iterable[np.ndarray],
    constants: Iterable[tuple[schema.TensorT, np.ndarray]],
) -> tuple[schema.TensorT | None, Order] | None:
    """`(tensor, order)` of the constant that is a piece; `None` if there is no such constant."""
    if not piece.any() or any(np.array_equal(piece, other) for other in earlier):
        return None, ()
    for tensor, constant in constants:
        if constant.size == piece.size and (order := _equal_order(constant, piece)) is not None:
            return tensor, order
    return None


def _floats(file: schema.ModelT) -> list[tuple[schema.TensorT, np.ndarray]]:
    """`(tensor, values)` of every float32 constant."""
    return [
        (tensor, flatbuffer.values(file, tensor))
        for _, _, tensor in flatbuffer.constants(file)
        if tensor.type == schema.TensorType.FLOAT32
    ]


def order_of(constant: np.ndarray, weight: np.ndarray) -> Order | None:
    """The order of a weight's axes in a constant that equals it, up to factors along one axis.

    Args:
        constant: An array of as many values, whose shape may split or join the weight's axes.
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


def _equal_order(constant: np.ndarray, weight: np.ndarray) -> Order | None:
    """As `order_of`, of a constant that equals the weight exactly."""
    flat = constant.reshape(-1)
    for order in itertools.permutations(range(weight.ndim)):
        turned = weight.transpose(order)
        if np.array_equal(flat[:_HEAD], turned.flat[:_HEAD]) and np.array_equal(
            flat, turned.reshape(-1)
        ):
            return order
    return None


def _order_by_zeros(constant: np.ndarray, weight: np.ndarray) -> Order | None:
    """As `order_of`, of a kernel each of whose values has an output channel of its own, which a
    normalisation scaled: of one input, or of a depthwise convolution of width 1."""
    alive = weight.reshape(-1) != 0
    is_vector = weight.size in (max(weight.shape), max(constant.shape, default=0))
    # Biases and normalisation weights are of rank 1.
    if constant.ndim < 2 or not is_vector or not alive.any() or alive.all():
        return None
    same = np.array_equal(constant.reshape(-1) != 0, alive)
    return tuple(range(weight.ndim)) if same else None


def _proportional(constant: np.ndarray, turned: np.ndarray) -> bool:
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
        if constant.shape[axis] == constant.size > 1:
            continue  # A factor for each value would make it any vector.
        others = tuple(a for a in range(constant.ndim) if a != axis)
        low = ratio.min(others, where=alive, initial=np.inf)
        high = ratio.max(others, where=alive, initial=-np.inf)
        # Where an index has no live weight low exceeds high, and any factor will do.
        if (high - low <= _RATIO_TOLERANCE * np.maximum(np.abs(high), np.abs(low))).all():
            return True
    return False
