"""The contract suite for a granularity."""

import itertools

import numpy as np

from keras_lottery.core.granularity import Granularity
from keras_lottery.testing.kernels import ALIVE, SHAPES


def check_granularity(granularity: Granularity) -> None:
    """Check that a granularity pools and spreads as it has to.

    Pieces have scores and a mask of one shape; a kernel whose pieces all stay is as it was; one
    whose pieces all go is empty; pruning a piece prunes live weights and revives none; and a piece
    that can grow grows as a whole.

    Args:
        granularity: What a function of `keras_lottery.granularity`, or one of yours, returns.

    Raises:
        AssertionError: If it breaks one of these promises; the message says which, and for what.

    Example:

    >>> from keras_lottery.core.granularity import blocks
    >>> check_granularity(blocks(2))
    """
    shapes = [shape for shape in SHAPES if len(shape) >= granularity.rank]
    for shape, alive in itertools.product(shapes, ALIVE):
        case = f"for a kernel of shape {shape}, {alive} alive"
        rng = np.random.default_rng(3)
        scores = rng.standard_normal(shape).astype(np.float32)
        mask = rng.random(shape) < ALIVE[alive]
        before = mask.copy()
        pooled, pieces = granularity.pool(scores, mask)
        assert pooled.shape == pieces.shape, f"{granularity} pools to two shapes {case}"
        assert pieces.dtype == bool, f"{granularity} pools masks to {pieces.dtype} {case}"
        assert not np.isnan(pooled).any(), f"{granularity} has scores that are no numbers {case}"
        assert np.array_equal(granularity.spread(pieces, mask), mask), (
            f"{granularity} changes a kernel whose pieces all stay {case}"
        )
        assert not granularity.spread(np.zeros_like(pieces), mask).any(), (
            f"{granularity} leaves weights where all pieces go {case}"
        )
        some = pieces & (rng.random(pieces.shape) < 0.5)
        left = granularity.spread(some, mask)
        assert (left <= mask).all(), f"{granularity} revives weights {case}"
        assert np.array_equal(granularity.pool(scores, left)[1], some), (
            f"{granularity} does not find the pieces that it spread {case}"
        )
        assert np.array_equal(mask, before), f"{granularity} changed the mask it was given {case}"
        if granularity.grows:
            whole = granularity.spread(pieces, np.ones_like(mask))
            assert np.array_equal(granularity.pool(scores, whole)[1], pieces), (
                f"{granularity} grows other pieces than it was asked to {case}"
            )
