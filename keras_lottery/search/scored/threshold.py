"""The largest so many of some numbers, exactly, without a sort."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.core.selection import drop_lowest

# The bits of a float32 that is not negative, below its sign.
_BITS = 31


def largest(sizes: Any, count: int) -> Any:
    """Finds the `count` largest of some numbers that are not negative. Ties fall by index.

    As whole numbers, the bits of floating-point numbers that are not negative are in the same
    order. So the smallest that stays is found bit by bit, in 31 counts, which costs a fraction of a
    sort.

    Args:
        sizes: A float32 tensor of any shape, without negative values or NaN.
        count: How many.

    Returns:
        A boolean tensor of the shape of `sizes`, `True` for exactly `count` of them: those that
        `core.selection.drop_lowest` would leave.

    Example:

    >>> largest(keras.ops.convert_to_tensor([3.0, 1.0, 3.0, 2.0, 3.0]), 2).numpy().tolist()
    [False, False, True, False, True]
    """
    ops = keras.ops
    bits = ops.view(ops.reshape(sizes, (-1,)), "int32")
    least = ops.zeros((), "int32")
    for bit in reversed(range(_BITS)):
        higher = least + (1 << bit)
        enough = ops.sum(ops.cast(bits >= higher, "int32")) >= count
        least = ops.where(enough, higher, least)
    above, ties = bits > least, ops.cast(bits == least, "int32")
    wanted = count - ops.sum(ops.cast(above, "int32"))
    last = ops.logical_and(ops.cast(ties, "bool"), ops.cumsum(ties) > ops.sum(ties) - wanted)
    return ops.reshape(ops.logical_or(above, last), ops.shape(sizes))


def largest_of_all(sizes: Sequence[Any], count: int) -> list[Any]:
    """The same over several tensors together, in their order.

    Args:
        sizes: Tensors as for `largest`.
        count: How many of all.

    Returns:
        Boolean tensors of their shapes.
    """
    ops = keras.ops
    together = largest(ops.concatenate([ops.reshape(one, (-1,)) for one in sizes]), count)
    ends = np.cumsum([int(np.prod(one.shape)) for one in sizes])
    starts = [0, *ends[:-1]]
    return [
        ops.reshape(together[start:end], one.shape)
        for one, start, end in zip(sizes, starts, ends, strict=True)
    ]


def in_numpy(sizes: Sequence[np.ndarray], counts: Sequence[int]) -> list[np.ndarray]:
    """What `largest` finds, for arrays and a count of each.

    >>> in_numpy([np.array([3.0, 1.0, 3.0])], [1])
    [array([False, False,  True])]
    """
    return [
        drop_lowest(one, np.ones(one.shape, bool), one.size - count)
        for one, count in zip(sizes, counts, strict=True)
    ]
