"""One prune event: rank, count, select. Masks in, smaller masks out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from keras_lottery.core import criteria, scopes
from keras_lottery.core.granularity import Granularity, weights
from keras_lottery.core.kernel import Array, Kernel, Mask
from keras_lottery.core.selection import counts_of_rate, counts_to_reach

Criterion = Callable[[Kernel], Array]
Scope = Callable[
    [Mapping[str, Array], Mapping[str, Mask], Mapping[str, int]],
    dict[str, Mask],
]


def prune(
    kernels: Sequence[Kernel],
    *,
    sparsity: float | Mapping[str, float] | None = None,
    rate: float | Mapping[str, float] | None = None,
    criterion: Criterion = criteria.large_final,
    scope: Scope = scopes.layerwise,
    granularity: Granularity | None = None,
) -> dict[str, Mask]:
    """Prunes the weights that matter least, in exact numbers.

    Exactly one of `sparsity` and `rate` is given: one fraction for all kernels, or one for
    each by name. Counts are of single weights, or of what `granularity` makes of them, and
    rounded half away from zero in each kernel.

    Args:
        kernels: The kernels, of different names.
        sparsity: The fraction that is to be pruned when this is done, in [0, 1]. Where more is
            pruned already, nothing comes back.
        rate: The fraction of what is alive to prune now, in [0, 1].
        criterion: `Kernel -> scores`; see `criteria`.
        scope: `(scores, masks, counts) -> masks`; see `scopes`.
        granularity: What is pruned as one; see `granularity`. `None` is single weights.

    Returns:
        New masks by kernel name, boolean, `True` where a weight is alive.

    Raises:
        ValueError: An argument is wrong; a weight or a score is not finite; a kernel's rank is
            too low for the granularity, or more is asked of it than the granularity lets go.

    Example:
        >>> prune([Kernel.of([0.5, -2.0, 1.0, 0.1], name="fc1")], sparsity=0.5)
        {'fc1': array([False,  True,  True, False])}
    """
    if (sparsity is None) == (rate is None):
        raise ValueError(f"Give `sparsity` or `rate`, one of them; got {sparsity} and {rate}.")
    granularity = granularity or weights()
    masks = {kernel.name: kernel.mask for kernel in kernels}
    if len(masks) < len(kernels):
        raise ValueError(f"Two kernels have one name: {[kernel.name for kernel in kernels]}.")

    scores: dict[str, Array] = {}
    pieces: dict[str, Mask] = {}
    for kernel in kernels:
        if kernel.mask.ndim < granularity.rank:
            raise ValueError(
                f"{granularity.name} cannot prune kernel {kernel.name!r} of shape "
                f"{kernel.mask.shape}: it needs {granularity.rank} axes or more."
            )
        scores[kernel.name], pieces[kernel.name] = granularity.pool(
            _scores(kernel, criterion), kernel.mask
        )
    if sparsity is not None:
        counts = counts_to_reach(pieces, sparsity)
    else:
        assert rate is not None  # checked above
        counts = counts_of_rate(pieces, rate)
    left = scope(scores, pieces, counts)
    for name, mask in masks.items():
        # What must stay scores `inf` and so goes last: it was touched if fewer than that are left.
        stay = np.count_nonzero(np.isposinf(scores[name]) & pieces[name])
        kept = np.count_nonzero(left[name])
        if kept < stay:
            raise ValueError(
                f"{granularity.name} can prune {mask.size - stay} of the {mask.size} weights of "
                f"kernel {name!r}, of shape {mask.shape}; {mask.size - kept} were asked for. "
                "Ask for less there, or exclude it."
            )
    return {name: granularity.spread(left[name], mask) for name, mask in masks.items()}


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
