"""Scopes: where the pruning falls. They are functions `(scores, masks, counts) -> new masks`.

All of these are dicts by kernel name. An entry of `scores` and `masks` is what is pruned as one (a
weight, a block, a unit: see `granularity`). `counts[name]` is how many live entries of that kernel
to prune, from `selection.counts_to_reach` or `selection.counts_of_rate`; it is negative where the
kernel is beyond its target. Masks only shrink, and counts are exact.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_lottery.core.kernel import Array, Mask
from keras_lottery.core.selection import drop_lowest, drop_lowest_together


def layerwise(
    scores: Mapping[str, Array], masks: Mapping[str, Mask], counts: Mapping[str, int]
) -> dict[str, Mask]:
    """Prunes exactly `counts[name]` in each kernel, none where that is below 0.

    >>> alive = {"a": np.ones(2, bool), "b": np.ones(2, bool)}
    >>> scores = {"a": np.array([1.0, 2.0]), "b": np.array([4.0, 3.0])}
    >>> layerwise(scores, alive, {"a": 1, "b": 1})
    {'a': array([False,  True]), 'b': array([ True, False])}
    """
    return {
        name: drop_lowest(scores[name], mask, max(0, counts[name])) for name, mask in masks.items()
    }


def globally(
    scores: Mapping[str, Array], masks: Mapping[str, Mask], counts: Mapping[str, int]
) -> dict[str, Mask]:
    """Prunes exactly `sum(counts)` over all kernels together, wherever the scores are lowest.

    >>> alive = {"a": np.ones(2, bool), "b": np.ones(2, bool)}
    >>> scores = {"a": np.array([1.0, 2.0]), "b": np.array([4.0, 3.0])}
    >>> globally(scores, alive, {"a": 1, "b": 1})
    {'a': array([False, False]), 'b': array([ True,  True])}
    """
    return drop_lowest_together(scores, masks, max(0, sum(counts.values())))


def erdos_renyi(
    scores: Mapping[str, Array], masks: Mapping[str, Mask], counts: Mapping[str, int]
) -> dict[str, Mask]:
    """Prunes exactly `sum(counts)`, so that densities follow the Erdos-Renyi-kernel rule.

    The density of a kernel is proportional to the sum of its dimensions over their product, and so
    the number of weights it keeps to their sum (Evci et al. 2020, "Rigging the Lottery",
    https://arxiv.org/abs/1911.11134): large kernels become sparser than small ones. A kernel
    whose share is more than it has alive keeps all of it, and the others share the rest. The
    dimensions are those of the masks: in blocks, a kernel counts as the grid of its blocks.

    >>> alive = {"a": np.ones((4, 4), bool), "b": np.ones((1, 2), bool)}
    >>> scores = {"a": np.arange(16.0).reshape(4, 4), "b": np.array([[1.0, 2.0]])}
    >>> masks = erdos_renyi(scores, alive, {"a": 8, "b": 1})
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'a': 7, 'b': 2}
    """
    alive = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
    keep = sum(alive.values()) - max(0, sum(counts.values()))
    kept = _shared_out(keep, {name: sum(mask.shape) for name, mask in masks.items()}, alive)
    return {
        name: drop_lowest(scores[name], mask, alive[name] - kept[name])
        for name, mask in masks.items()
    }


def _shared_out(amount: int, weights: Mapping[str, int], most: Mapping[str, int]) -> dict[str, int]:
    """Shares `amount` out in proportion to `weights`, none above its `most`, in whole numbers."""
    shares: dict[str, int] = {}
    room = dict(weights)
    while room:
        total = sum(room.values())
        full = [name for name in room if amount * room[name] >= most[name] * total]
        if not full:
            break
        for name in full:
            shares[name] = most[name]
            del room[name]
        amount -= sum(most[name] for name in full)
    for name, weight in room.items():
        shares[name] = amount * weight // total
    # The largest remainders get what rounding down has left; one more is never above `most`.
    left = amount - sum(shares[name] for name in room)
    remainders = sorted(room, key=lambda name: -(amount * room[name] % total))
    for name in remainders[:left]:
        shares[name] += 1
    return shares
