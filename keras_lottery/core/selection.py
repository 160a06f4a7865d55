"""Exact counting: how many to prune, and which. Ties fall by index, lowest index first.

Scores are floating point, any finite value or `inf`, and no NaN (`prune` sees to it).
To round is to round half away from zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_lottery.core.kernel import Array, Mask

_Keys = npt.NDArray[np.unsignedinteger[Any]]
_PIECE = 1 << 18  # entries looked at together: small enough for the cache
_DIGIT = 16  # bits of a score looked at together


def drop_lowest(scores: Array, mask: Mask, count: int) -> Mask:
    """Returns `mask` without the `count` live entries of the lowest score, exactly.

    Args:
        scores: Floating point, any shape.
        mask: Boolean, the same shape.
        count: How many to prune, from 0 to the number alive.

    Raises:
        ValueError: `count` is not in that range.

    Example:
        >>> drop_lowest(np.array([1.0, 0.0, 0.0, 0.0]), np.array([True, False, True, True]), 1)
        array([ True, False, False,  True])
    """
    return drop_lowest_together({"": scores}, {"": mask}, count)[""]


def drop_lowest_together(
    scores: Mapping[str, Array], masks: Mapping[str, Mask], count: int
) -> dict[str, Mask]:
    """Returns `masks` without the `count` live entries of the lowest score over all of them.

    Ties fall in the order of `masks`, then by index. No entry is copied or sorted: the threshold is
    found by counting, so memory beyond the new masks does not grow with the arrays.

    Args:
        scores: By name, floating point.
        masks: By name, boolean, the same shapes.
        count: How many to prune together, from 0 to the number alive.

    Raises:
        ValueError: `count` is not in that range.

    Example:
        >>> alive = {"a": np.ones(2, bool), "b": np.ones(2, bool)}
        >>> scores = {"a": np.array([3.0, 1.0]), "b": np.array([1.0, 2.0])}
        >>> drop_lowest_together(scores, alive, 2)
        {'a': array([ True, False]), 'b': array([False,  True])}
    """
    alive = sum(int(np.count_nonzero(mask)) for mask in masks.values())
    if not 0 <= count <= alive:
        raise ValueError(f"`count` is {count}; it must be from 0 to {alive}, the number alive.")
    pruned = {name: np.array(mask, order="C") for name, mask in masks.items()}
    threshold, ties = _threshold(scores, masks, count)
    for name, piece, keys in _pieces(scores, masks):
        left = pruned[name].reshape(-1)[piece]
        left &= keys >= threshold
        tied = np.flatnonzero(keys == threshold)[:ties]
        left[tied] = False
        ties -= tied.size
    return pruned


def counts_to_reach(
    masks: Mapping[str, Mask], sparsity: float | Mapping[str, float]
) -> dict[str, int]:
    """Counts what to prune in each kernel so that it reaches a sparsity.

    Args:
        masks: By kernel name.
        sparsity: The fraction of all entries to be pruned in the end, in [0, 1]: one for all
            kernels, or one for each by name.

    Returns:
        By name, `round(sparsity * size)` less what is pruned already. This is negative for a kernel
        that is beyond the target, as after global pruning: a scope that shares the total counts it
        in, any other prunes nothing there.

    Raises:
        ValueError: A sparsity is not in [0, 1], or the names differ from those of `masks`.

    Example:
        >>> counts_to_reach({"fc1": np.array([True, True, False, True])}, 0.5)
        {'fc1': 1}
    """
    return {
        name: _rounded(fraction * masks[name].size) - int(np.count_nonzero(~masks[name]))
        for name, fraction in _fractions(masks, sparsity, "sparsity").items()
    }


def counts_of_rate(masks: Mapping[str, Mask], rate: float | Mapping[str, float]) -> dict[str, int]:
    """Counts what to prune in each kernel for a rate: `round(rate * alive)`.

    Args:
        masks: By kernel name.
        rate: The fraction of the live entries to prune, in [0, 1]: one for all kernels, or
            one for each by name.

    Raises:
        ValueError: A rate is not in [0, 1], or the names differ from those of `masks`.

    Example:
        >>> counts_of_rate({"fc1": np.array([True, True, False, True])}, 0.5)
        {'fc1': 2}
    """
    return {
        name: _rounded(fraction * int(np.count_nonzero(masks[name])))
        for name, fraction in _fractions(masks, rate, "rate").items()
    }


def _fractions(
    masks: Mapping[str, Mask], given: float | Mapping[str, float], argument: str
) -> dict[str, float]:
    """Gives every kernel its fraction, checked."""
    by_name = given if isinstance(given, Mapping) else dict.fromkeys(masks, given)
    if set(by_name) != set(masks):
        raise ValueError(
            f"`{argument}` names {sorted(by_name)}; it must name every kernel: {sorted(masks)}."
        )
    for name, fraction in by_name.items():
        if not 0 <= fraction <= 1:
            raise ValueError(f"`{argument}` is {fraction} for {name!r}; it must be in [0, 1].")
    return {name: float(by_name[name]) for name in masks}


def _rounded(amount: float) -> int:
    # `round` takes halves to the even number; `int(amount + 0.5)` is wrong just below a half.
    whole, part = divmod(amount, 1)
    return int(whole) + (part >= 0.5)


def _threshold(
    scores: Mapping[str, Array], masks: Mapping[str, Mask], count: int
) -> tuple[int, int]:
    """Finds the key below which all go, and how many of those equal to it go as well.

    Selection by counting: a table of how many keys begin with each 16 bits says with which
    bits the wanted key begins; another pass, over the keys that do, finds the next 16.
    """
    key_bits = 8 * _dtype(scores).itemsize
    threshold = 0
    for shift in range(key_bits - _DIGIT, -1, -_DIGIT):
        table = np.zeros(1 << _DIGIT, np.int64)
        for _, _, keys in _pieces(scores, masks):
            if shift + _DIGIT < key_bits:
                keys = keys[keys >> (shift + _DIGIT) == threshold]
            table += np.bincount((keys >> shift).astype(np.uint16), minlength=table.size)
        total = np.cumsum(table)
        digit = int(np.searchsorted(total, count))
        count -= int(total[digit] - table[digit])
        threshold = threshold << _DIGIT | digit
    return threshold, count


def _pieces(
    scores: Mapping[str, Array], masks: Mapping[str, Mask]
) -> Iterator[tuple[str, slice, _Keys]]:
    """Walks over all kernels a piece at a time: name, where in the flat kernel, keys."""
    dtype = _dtype(scores)
    for name, mask in masks.items():
        flat_scores, flat_mask = scores[name].reshape(-1), mask.reshape(-1)
        for start in range(0, flat_mask.size, _PIECE):
            piece = slice(start, start + _PIECE)
            yield name, piece, _keys(flat_scores[piece].astype(dtype), flat_mask[piece])


def _dtype(scores: Mapping[str, Array]) -> np.dtype[np.floating]:
    return np.result_type(np.float32, *(array.dtype for array in scores.values()))


def _keys(scores: Array, mask: Mask) -> _Keys:
    """Unsigned integers in the order of the scores, and the dead above all.

    Read as integers, the bits of positive floats are in their order already. Flipping the sign
    bit puts those above the negative ones, whose other bits run backwards and are flipped too.
    """
    bits = 8 * scores.itemsize
    signed = (scores + 0).view(f"i{scores.itemsize}")  # -0.0 + 0 is 0.0: equal scores, equal keys
    unsigned = signed.view(f"u{scores.itemsize}")
    negative = (signed >> (bits - 1)).view(unsigned.dtype)  # all bits set, or none
    dead = mask.astype(unsigned.dtype) - 1  # likewise: `np.where` is slow on scattered masks
    keys: _Keys = (unsigned ^ (negative | (1 << (bits - 1)))) | dead
    return keys
