"""Events change masks: `prune` drops weights, `rewire` drops some and grows as many others.

Both rank, count and select in exact numbers, and return new masks. That masks only shrink is a rule
of `prune` alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from keras_lottery.core import criteria, lookup, scopes
from keras_lottery.core import granularity as granularities
from keras_lottery.core.granularity import Granularity
from keras_lottery.core.kernel import Array, Kernel, Mask
from keras_lottery.core.selection import counts_of_rate, counts_to_reach, drop_lowest

Criterion = Callable[[Kernel], Array]
Scope = Callable[
    [Mapping[str, Array], Mapping[str, Mask], Mapping[str, int]],
    dict[str, Mask],
]


def prune(
    kernels: Iterable[Kernel],
    *,
    sparsity: float | None = None,
    rate: float | None = None,
    overrides: Mapping[str, float] | None = None,
    criterion: Criterion = criteria.large_final,
    scope: Scope = scopes.layerwise,
    granularity: Granularity | None = None,
) -> dict[str, Mask]:
    """Prunes the weights that matter least, in exact numbers.

    Give exactly one of `sparsity` and `rate`. Counts are numbers of single weights, or of the
    pieces that `granularity` makes of them, rounded half away from zero in each kernel.

    Args:
        kernels: The kernels, each with a name of its own. They are scored one after the other, so
            an iterator need not hold the values of all.
        sparsity: The fraction of all weights that is pruned afterwards, in [0, 1]. Where more is
            pruned already, nothing comes back.
        rate: The fraction of the live weights to prune now, in [0, 1].
        overrides: Other fractions for some kernels, by name. Such a kernel is pruned by its own
            count whatever the scope, and the scope shares out what the others lose.
        criterion: `Kernel -> scores`; see `criteria`.
        scope: `(scores, masks, counts) -> masks`; see `scopes`.
        granularity: The pieces that are pruned as one; see `granularity`. `None` is single weights.

    Returns:
        New masks by kernel name, boolean, `True` where a weight is alive.

    Raises:
        ValueError: An argument is wrong; a weight or a score is not finite; all scores are alike,
            though the weights differ in size; a kernel's rank is too low for the granularity, or
            the granularity cannot prune as much of it as is asked for; the scope's masks are not
            what a scope promises.

    Example:
        >>> prune([Kernel.of([0.5, -2.0, 1.0, 0.1], name="fc1")], sparsity=0.5)
        {'fc1': array([False,  True,  True, False])}
    """
    if (sparsity is None) == (rate is None):
        raise ValueError(f"Give `sparsity` or `rate`, one of them; got {sparsity} and {rate}.")
    granularity = granularities.as_granularity(granularity)
    masks: dict[str, Mask] = {}
    scores: dict[str, Array] = {}
    pieces: dict[str, Mask] = {}
    blind: dict[str, bool] = {}
    for kernel in kernels:
        if kernel.name in masks:
            raise ValueError(f"Two kernels are named {kernel.name!r}: their names must differ.")
        masks[kernel.name] = kernel.mask
        _refuse_rank(kernel, granularity)
        ranked = _scores(kernel, criterion)
        # Where the weights are all of one size, any of them may go.
        blind[kernel.name] = _all_equal(ranked, kernel.mask) and not _all_equal(
            np.abs(kernel.current), kernel.mask
        )
        scores[kernel.name], pieces[kernel.name] = granularity.pool(ranked, kernel.mask)
    own = overrides or {}
    if sparsity is not None:
        counts = counts_to_reach(pieces, {**dict.fromkeys(masks, sparsity), **own})
    else:
        assert rate is not None  # checked above
        counts = counts_of_rate(pieces, {**dict.fromkeys(masks, rate), **own})
    left: dict[str, Mask] = {}
    shared = [name for name in masks if name not in own]
    for share_out, names in ((scope, shared), (scopes.layerwise, own)):
        if names:
            left |= _shrunk(
                share_out,
                {name: scores[name] for name in names},
                {name: pieces[name] for name in names},
                {name: counts[name] for name in names},
            )
    _refuse_too_much(left, scores, pieces, masks, granularity)
    _refuse_chance(left, pieces, blind, criterion)
    return {name: granularity.spread(left[name], mask) for name, mask in masks.items()}


def rewire(
    kernels: Iterable[Kernel],
    *,
    fraction: float,
    drop: Criterion = criteria.large_final,
    grow: Criterion = criteria.random,
    granularity: Granularity | None = None,
) -> dict[str, Mask]:
    """Drops the live weights that matter least, and grows as many others, in each kernel.

    This is dynamic sparse training: SET with `grow=criteria.random` (Mocanu et al. 2018,
    https://arxiv.org/abs/1707.04780), RigL with the size of the gradient (Evci et al. 2020,
    https://arxiv.org/abs/1911.11134). A weight that was dropped just now competes with those that
    were pruned before, so it may come straight back.

    Args:
        kernels: The kernels, each with a name of its own.
        fraction: The fraction of the live weights to drop, in [0, 1]; `round(fraction * alive)` of
            each kernel, in single weights or in the pieces that `granularity` makes of them.
        drop: `Kernel -> scores`; the lowest of the live weights are dropped.
        grow: `Kernel -> scores`; the highest of all weights that are then not alive grow.
        granularity: The pieces that are dropped and grown as one: single weights, blocks or units.
            A piece grows as a whole.

    Returns:
        New masks by kernel name, with as many live pieces as before.

    Raises:
        ValueError: An argument is wrong; a weight or a score is not finite; a kernel's rank is too
            low for the granularity, or no piece of it can grow.

    Example:
        >>> kernel = Kernel.of([3.0, 1.0, 2.0, 0.0], mask=[True, True, True, False], name="fc1")
        >>> rewire([kernel], fraction=0.3, grow=lambda kernel: np.array([0.0, 0.0, 0.0, 1.0]))
        {'fc1': array([ True, False,  True,  True])}
    """
    granularity = granularities.as_granularity(granularity)
    refuse_what_cannot_grow(granularity)
    masks: dict[str, Mask] = {}
    for kernel in kernels:
        if kernel.name in masks:
            raise ValueError(f"Two kernels are named {kernel.name!r}: their names must differ.")
        _refuse_rank(kernel, granularity)
        everywhere = np.ones_like(kernel.mask)
        scores, pieces = granularity.pool(_scores(kernel, drop), kernel.mask)
        count = counts_of_rate({kernel.name: pieces}, fraction)[kernel.name]
        stay = drop_lowest(scores, pieces, count)
        # All are candidates here, so all are ranked: what is pruned has scores, too.
        wanted = _scores(dataclasses.replace(kernel, mask=everywhere), grow)
        gains, _ = granularity.pool(wanted, everywhere)
        candidates = ~stay
        left = drop_lowest(gains, candidates, int(np.count_nonzero(candidates)) - count)
        masks[kernel.name] = granularity.spread(stay, kernel.mask) | granularity.spread(
            left, everywhere
        )
    return masks


def refuse_what_cannot_grow(granularity: Granularity | None) -> None:
    """Raises a `ValueError` if what is pruned by a granularity cannot come back."""
    granularity = granularities.as_granularity(granularity)
    if not granularity.grows:
        raise ValueError(
            f"{granularity.name} cannot grow what was pruned; use weights(), blocks or units."
        )


def _refuse_rank(kernel: Kernel, granularity: Granularity) -> None:
    if kernel.mask.ndim < granularity.rank:
        raise ValueError(
            f"{granularity.name} cannot prune kernel {kernel.name!r} of shape "
            f"{kernel.mask.shape}: it needs {granularity.rank} axes or more."
        )


def _scores(kernel: Kernel, criterion: Criterion) -> Array:
    """Scores a kernel, and refuses what cannot be ranked."""
    if not np.isfinite(kernel.current).all():
        raise ValueError(f"Kernel {kernel.name!r} has weights that are not finite; cannot rank it.")
    scores = np.asarray(criterion(kernel))
    scores = scores.astype(np.result_type(scores, np.float32), copy=False)
    if scores.shape != kernel.mask.shape:
        raise ValueError(
            f"The criterion's scores for kernel {kernel.name!r} have shape {scores.shape}; "
            f"the kernel has {kernel.mask.shape}."
        )
    if not (np.isfinite(scores) | ~kernel.mask).all():
        raise ValueError(f"The criterion's scores for kernel {kernel.name!r} are not all finite.")
    return scores


def _all_equal(scores: Array, mask: Mask) -> bool:
    """Says whether all live weights have one score."""
    first = scores.reshape(-1)[np.argmax(mask)]
    return not np.any((scores != first) & mask)


def _shrunk(
    scope: Scope,
    scores: Mapping[str, Array],
    pieces: Mapping[str, Mask],
    counts: Mapping[str, int],
) -> dict[str, Mask]:
    """Returns the scope's masks, and checks its promises: it may be the user's own function."""
    left = scope(scores, pieces, counts)
    name_of_scope = lookup.name_of(scope)
    if not isinstance(left, Mapping) or set(left) != set(pieces):
        raise ValueError(
            f"The scope {name_of_scope} must return a mask for each of {sorted(pieces)}; it "
            f"returned {sorted(left) if isinstance(left, Mapping) else left!r}."
        )
    for name, piece in pieces.items():
        shrunk = np.asarray(left[name])
        if shrunk.dtype != np.bool_ or shrunk.shape != piece.shape:
            raise ValueError(
                f"The scope {name_of_scope} must return a boolean mask of shape {piece.shape} for "
                f"kernel {name!r}; it returned {shrunk.dtype} of shape {shrunk.shape}."
            )
        if np.any(shrunk & ~piece):
            raise ValueError(f"The scope {name_of_scope} revived what is pruned in {name!r}.")
    gone = sum(np.count_nonzero(piece) - np.count_nonzero(left[n]) for n, piece in pieces.items())
    # Kernels beyond their target have negative counts. A global scope subtracts these from the
    # total, a layerwise one ignores them: accept both.
    least, most = max(0, sum(counts.values())), sum(max(0, count) for count in counts.values())
    if not least <= gone <= most:
        raise ValueError(
            f"The scope {name_of_scope} pruned {gone} entries; it was to prune "
            f"{least if least == most else f'{least} to {most}'}."
        )
    return left


def _refuse_too_much(
    left: Mapping[str, Mask],
    scores: Mapping[str, Array],
    pieces: Mapping[str, Mask],
    masks: Mapping[str, Mask],
    granularity: Granularity,
) -> None:
    """Raises a `ValueError` if an entry that must stay was pruned.

    Such entries score `inf` and are pruned last: fewer survivors than `inf` entries mean that one
    was pruned.
    """
    for name, mask in masks.items():
        stay = np.count_nonzero(np.isposinf(scores[name]) & pieces[name])
        survivors = np.count_nonzero(left[name])
        if survivors < stay:
            raise ValueError(
                f"{granularity.name} can prune {mask.size - stay} of the {mask.size} weights of "
                f"kernel {name!r}, of shape {mask.shape}; {mask.size - survivors} were asked for. "
                "Ask for less there, or exclude it."
            )


def _refuse_chance(
    left: Mapping[str, Mask],
    pieces: Mapping[str, Mask],
    blind: Mapping[str, bool],
    criterion: Criterion,
) -> None:
    """Raises a `ValueError` if the criterion told no weights apart in any kernel that was pruned.

    One such kernel alone, as of a dead layer, is no reason to end a long training.
    """
    cut = [name for name in left if left[name].any() and np.any(left[name] != pieces[name])]
    if cut and all(blind[name] for name in cut):
        raise ValueError(
            f"`criterion` {lookup.name_of(criterion)} scores all weights alike, in each of {cut}: "
            "only their order would tell which to prune. A criterion that looks back at earlier "
            "values needs some training first: begin later."
        )
