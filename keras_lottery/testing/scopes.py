"""The contract suite for a scope."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_lottery.testing.kernels import ALIVE, SHAPES, WEIGHTS

Event = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def check_scope(scope: Callable[..., dict[str, np.ndarray]]) -> None:
    """Check that a function prunes as a scope has to.

    It prunes exactly the sum of the counts; in each kernel the lowest scores go, ties by index;
    masks only shrink and are new arrays; the arguments stay as they were; where counts are negative
    nothing comes back.

    Args:
        scope: A function `(scores, masks, counts) -> masks`.

    Raises:
        AssertionError: If it breaks one of these promises; the message says which, and for what.

    Example:

    >>> from keras_lottery import scopes
    >>> check_scope(scopes.globally)
    """
    for weights, alive, part in itertools.product(WEIGHTS, ALIVE, (0.0, 0.3, 0.5, 1.0)):
        case = f"for {weights} scores, {alive} alive, {part:.0%} to go"
        scores, masks = _event(weights, alive)
        counts = {name: int(part * mask.sum()) for name, mask in masks.items()}
        left = scope(scores, masks, counts)
        assert list(left) == list(masks), f"{scope} returned masks for {list(left)} {case}"
        gone, asked = _alive_in(masks) - _alive_in(left), sum(counts.values())
        assert gone == asked, f"{scope} pruned {gone} in place of {asked} {case}"
        for name, mask in masks.items():
            _check_mask(scope, left[name], mask, scores[name], case)
        again = scope(*_event(weights, alive), counts)
        assert all(np.array_equal(left[name], again[name]) for name in masks), (
            f"{scope} differs when it is asked again {case}"
        )
    scores, masks = _event("random", "some")
    left = scope(scores, masks, dict.fromkeys(masks, -2))
    assert all(np.array_equal(left[name], masks[name]) for name in masks), (
        f"{scope} changed masks that are beyond their target"
    )


def _check_mask(
    scope: Callable[..., Any], left: np.ndarray, mask: np.ndarray, scores: np.ndarray, case: str
) -> None:
    assert left.dtype == bool and left.shape == mask.shape, (
        f"{scope} returned {left.dtype} of shape {left.shape} {case}"
    )
    assert not np.shares_memory(left, mask), f"{scope} must return new masks"
    assert (left <= mask).all(), f"{scope} revived what was pruned {case}"
    dropped = mask & ~left
    if not dropped.any() or not left.any():
        return
    last, first = scores[dropped].max(), scores[left].min()
    assert last <= first, f"{scope} kept a lower score than it dropped {case}"
    if last == first:
        tied = scores == first
        assert np.flatnonzero(dropped & tied).max() < np.flatnonzero(left & tied).min(), (
            f"{scope} must let ties fall by index, the lowest first, {case}"
        )


def _event(weights: str, alive: str) -> Event:
    """The scores and masks of one kernel of each rank, read-only."""
    rng = np.random.default_rng(5)
    scores = {str(len(shape)): WEIGHTS[weights](rng, shape).astype(np.float32) for shape in SHAPES}
    masks = {name: rng.random(array.shape) < ALIVE[alive] for name, array in scores.items()}
    for array in itertools.chain(scores.values(), masks.values()):
        array.flags.writeable = False
    return scores, masks


def _alive_in(masks: dict[str, np.ndarray]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())
