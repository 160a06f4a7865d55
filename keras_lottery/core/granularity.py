"""Granularities: the pieces that are pruned as one, such as single weights, blocks or units.

A granularity turns a kernel's scores and mask into those of its pieces, which a scope counts and
prunes, and turns the surviving pieces back into a mask. A piece is alive while any weight in it is
alive. Its score is the mean over its live weights, so that a block at the edge, or one that has
lost weights already, is on the same scale as a whole one.

Kernels are laid out as Keras does it: the last axis is the output, the one before it the input,
also in convolutions (not in the three axes of MultiHeadAttention, where that is the heads).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_lottery.core.kernel import Array, Mask
from keras_lottery.core.made import Made, maker


@dataclass(frozen=True, eq=False, repr=False)
class Granularity(Made):
    """A way in which weights form pieces; the functions of this module make it.

    Args:
        name: The call that made it, such as `"blocks(4)"`.
        rank: The least rank of a kernel that it can prune.
        pool: `(scores, mask) -> (scores of the pieces, mask of the pieces)`. A score of `inf`
            says that this piece must stay.
        spread: `(mask of the pieces, mask) -> mask` without the weights of pruned pieces.
        grows: Whether a pruned piece can come back as a whole: `spread` over a mask that is alive
            everywhere gives the weights of pieces.
    """

    name: str
    rank: int
    pool: Callable[[Array, Mask], tuple[Array, Mask]]
    spread: Callable[[Mask, Mask], Mask]
    grows: bool = False


def as_granularity(granularity: Granularity | None) -> Granularity:
    """Returns the granularity that was passed, or single weights for `None`.

    Raises:
        ValueError: It is neither, such as the name of a function of this module, or the function
            without its call.

    >>> as_granularity(None).name
    'weights()'
    """
    if granularity is None:
        return weights()
    if not isinstance(granularity, Granularity):
        raise ValueError(
            f"`granularity` is {granularity!r}; pass what a function of "
            "keras_lottery.granularity returns, such as blocks(4), or None for single weights."
        )
    return granularity


@maker
def weights() -> Granularity:
    """Single weights, anywhere.

    >>> weights().name
    'weights()'
    """
    return Granularity(
        name="weights()",
        rank=1,
        pool=lambda scores, mask: (scores, mask),
        spread=lambda pieces, mask: pieces & mask,
        grows=True,
    )


@maker
def blocks(width: int) -> Granularity:
    """Blocks of `1 x width`: neighbours along the input axis, for one output.

    A TFLite runtime computes such blocks sparsely: of width 4 in float32, of width 16 in int8.
    Where `width` does not divide the axis, the last block is smaller.

    Args:
        width: Weights in a block, 1 or more.

    Raises:
        ValueError: `width` is less than 1.

    >>> scores, mask = blocks(2).pool(np.array([[1.0], [3.0], [5.0]]), np.ones((3, 1), bool))
    >>> scores
    array([[2.],
           [5.]])
    """
    if width < 1:
        raise ValueError(f"`width` is {width}; it must be 1 or more.")

    def pool(scores: Array, mask: Mask) -> tuple[Array, Mask]:
        starts = np.arange(0, mask.shape[-2], width)
        alive = np.add.reduceat(mask, starts, axis=-2, dtype=np.intp)
        total = np.add.reduceat(np.where(mask, scores, 0), starts, axis=-2)
        return _mean(total, alive), alive > 0

    def spread(pieces: Mask, mask: Mask) -> Mask:
        return mask & np.repeat(pieces, width, axis=-2)[..., : mask.shape[-2], :]

    return Granularity(name=f"blocks({width})", rank=2, pool=pool, spread=spread, grows=True)


@maker
def units() -> Granularity:
    """Whole units or filters: all the weights that lead to one index of the last axis.

    `keras_lottery.shrink` then takes them out, with their biases and normalisation.

    The last axis of a depthwise kernel is its multiplier, which is most often 1: the whole
    kernel is one unit then, so exclude such kernels.

    >>> scores, mask = units().pool(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2), bool))
    >>> scores
    array([2., 3.])
    """

    def pool(scores: Array, mask: Mask) -> tuple[Array, Mask]:
        inputs = tuple(range(mask.ndim - 1))
        alive = mask.sum(axis=inputs)
        return _mean(np.where(mask, scores, 0).sum(axis=inputs), alive), alive > 0

    return Granularity(
        name="units()",
        rank=2,
        pool=pool,
        spread=lambda pieces, mask: pieces & mask,
        grows=True,
    )


@maker
def n_of_m(n: int, m: int) -> Granularity:
    """Single weights, but at least `n` of every `m` neighbours along the input axis stay.

    Pruned to a sparsity of `1 - n / m` every group keeps exactly `n`: `n_of_m(2, 4)` gives the
    2:4 pattern that sparse tensor cores want. No higher sparsity is possible. Where `m` does not
    divide the axis, the last group counts as filled up with pruned weights, as in the hardware:
    it loses fewer weights, so the highest sparsity is lower.

    Args:
        n: How many must stay, from 1 to `m`.
        m: The size of a group.

    Raises:
        ValueError: `n` is not in that range.

    >>> scores, _ = n_of_m(2, 4).pool(np.array([[1.0], [4.0], [2.0], [3.0]]), np.ones((4, 1), bool))
    >>> scores.ravel()
    array([ 1., inf,  2., inf])
    """
    if not 1 <= n <= m:
        raise ValueError(f"`n` is {n} and `m` is {m}; `n` must be from 1 to `m`.")

    def pool(scores: Array, mask: Mask) -> tuple[Array, Mask]:
        length = mask.shape[-2]
        missing = -length % m
        padding = [(0, 0)] * (mask.ndim - 2) + [(0, missing), (0, 0)]
        ranked = np.pad(np.where(mask, scores, -np.inf), padding, constant_values=-np.inf)
        grouped = ranked.reshape(*mask.shape[:-2], -1, m, mask.shape[-1])
        # What is pruned or padding ranks lowest, and so uses up the group's m - n first.
        order = np.argsort(grouped, axis=-2, kind="stable")
        stays = np.zeros(grouped.shape, bool)
        np.put_along_axis(stays, order[..., m - n :, :], True, axis=-2)
        stays = stays.reshape(ranked.shape)[..., :length, :]
        return np.where(stays, np.inf, scores), mask

    return Granularity(
        name=f"n_of_m({n}, {m})",
        rank=2,
        pool=pool,
        spread=lambda pieces, mask: pieces & mask,
    )


def _mean(total: Array, count: Array) -> Array:
    return np.divide(total, np.maximum(count, 1), dtype=total.dtype, casting="same_kind")
