"""edge-popup: the subnetwork of the highest scores (Ramanujan et al. 2020,
https://arxiv.org/abs/1911.13299)."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.core.kernel import Kernel
from keras_lottery.model import variables
from keras_lottery.search.scored import threshold
from keras_lottery.search.scored.network import Method, ScoredNetwork


def edge_popup(
    model: keras.Model,
    sparsity: float,
    *,
    scope: str = "layerwise",
    restart_from: str | Callable[[Kernel], np.ndarray] = "rewind",
    scale_fan: bool = False,
    include: variables.Selector | None = None,
    exclude: variables.Selector | None = None,
    seed: int = 0,
) -> ScoredNetwork:
    """A network that learns which of a model's weights to use, and trains none of them (section 3).

    The forward pass uses the weights with the highest `|score|`, an exact number. Backward, the
    gradient of a score is `gradient * weight * sign(score)`, of weights that are not used, too: so
    they can come back. The paper's weights are He normal (give the model's layers that initializer)
    or signed constants (`restart_from="signed_constant"`).

    Args:
        model: A built `keras.Model` without masks. It need not be compiled.
        sparsity: The fraction of weights that is not used, in [0, 1).
        scope: Of what that is a fraction: `"layerwise"`, each kernel, or `"globally"`, all
            together.
        restart_from: What the weights are: as they are in the model (`"rewind"`), or another
            function of `keras_lottery.restart_from`.
        scale_fan: Whether to divide weights by the square root of the share that is used, so that a
            He normal kernel has a standard deviation of `sqrt(2 / (share * fan_in))`.
        include: Which kernels to take, as for `Recipe`.
        exclude: Which of those to leave out, likewise.
        seed: Seed of the first scores.

    Returns:
        A `ScoredNetwork`: compile it, and train it as any model. Its `ticket` has masks and values.

    Raises:
        ValueError: If an argument is wrong, a kernel would be left empty, the model is not built,
            or has masks.

    Example:

    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10, name="fc1")])
    >>> search = edge_popup(model, 0.75)
    >>> search.compile("sgd", "mse")
    >>> history = search.fit(np.ones((8, 10)), np.ones((8, 10)), verbose=0)
    >>> search.sparsity, search.ticket.sparsity
    (0.75, 0.75)
    """
    counts = counts_of(model, sparsity, scope, include, exclude)
    settings = {"sparsity": sparsity, "scope": scope, "scale_fan": scale_fan}
    method = Method(
        name="edge_popup",
        settings=settings,
        begin=uniform_scores,
        values=functools.partial(_values, counts),
        masks=lambda scores, rng: kept(scores, counts),
        starts=lambda starts, masks: list(starts),
        scale=1 / math.sqrt(1 - sparsity) if scale_fan else 1.0,
    )
    return ScoredNetwork(model, method, restart_from, include, exclude, seed)


def uniform_scores(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform between plus and minus `1 / sqrt(fan_in)`."""
    limit = 1 / math.sqrt(np.prod(shape[:-1]))
    return rng.uniform(-limit, limit, shape).astype("float32")


def used(scores: Sequence[Any], counts: Sequence[int] | int) -> list[Any]:
    """The weights that are used, as boolean tensors.

    Args:
        scores: Tensors of scores.
        counts: How many of each, or of all together.
    """
    sizes = [keras.ops.abs(keras.ops.stop_gradient(score)) for score in scores]
    if isinstance(counts, int):
        return threshold.largest_of_all(sizes, counts)
    return [threshold.largest(size, count) for size, count in zip(sizes, counts, strict=True)]


def kept(scores: Sequence[np.ndarray], counts: Sequence[int] | int) -> list[np.ndarray]:
    """The same for arrays."""
    sizes = [np.abs(score) for score in scores]
    if not isinstance(counts, int):
        return threshold.in_numpy(sizes, counts)
    [together] = threshold.in_numpy([np.concatenate([size.ravel() for size in sizes])], [counts])
    ends = np.cumsum([size.size for size in sizes])[:-1]
    parts = np.split(together, ends)
    return [part.reshape(size.shape) for part, size in zip(parts, sizes, strict=True)]


def straight_through(value: Any, start: Any, score: Any) -> Any:
    """A value whose gradient goes to the score: `gradient * start * sign(score)`."""
    ops = keras.ops
    size = ops.abs(score)
    # The second term is zero: only its gradient counts.
    return ops.stop_gradient(value) + start * (size - ops.stop_gradient(size))


def _values(
    counts: Sequence[int] | int,
    starts: Sequence[Any],
    scores: Sequence[Any],
    training: bool,
    seeds: Any,
) -> list[Any]:
    return [
        straight_through(start * keras.ops.cast(mask, start.dtype), start, score)
        for start, score, mask in zip(starts, scores, used(scores, counts), strict=True)
    ]


def counts_of(
    model: keras.Model,
    sparsity: float,
    scope: str,
    include: variables.Selector | None,
    exclude: variables.Selector | None,
) -> list[int] | int:
    """How many weights are used: of each kernel, or of all; the arguments are those of the door."""
    if isinstance(sparsity, bool) or not 0 <= sparsity < 1:
        raise ValueError(f"`sparsity` must be in [0, 1), received {sparsity!r}.")
    if scope not in ("layerwise", "globally"):
        raise ValueError(f"`scope` must be 'layerwise' or 'globally', received {scope!r}.")
    kernels = variables.prunable(model, include, exclude)
    sizes = [int(np.prod(kernel.shape)) for kernel in kernels.values()]
    counts = [size - math.floor(sparsity * size + 0.5) for size in sizes]
    if scope == "globally":
        return sum(sizes) - math.floor(sparsity * sum(sizes) + 0.5)
    empty = [name for name, count in zip(kernels, counts, strict=True) if not count]
    if empty:
        raise ValueError(
            f"`sparsity` of {sparsity!r} leaves no weight of {', '.join(empty)}: give less, or "
            "exclude it."
        )
    return counts
