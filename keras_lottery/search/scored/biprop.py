"""biprop: binary weights (Diffenderfer & Kailkhura 2021, "Multi-Prize Lottery Ticket Hypothesis",
https://arxiv.org/abs/2103.09377)."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.core.kernel import Kernel
from keras_lottery.model import variables
from keras_lottery.search.scored import edge_popup as by_edges
from keras_lottery.search.scored.network import Method, ScoredNetwork


def biprop(
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
    """A network that learns which of a model's weights to use, by their signs alone (section 3).

    As `edge_popup`, with weights of two values: `alpha * sign(weight)`, where `alpha` is the mean
    `|weight|` of those that are used in the kernel. The gradient of a score is that of edge-popup.

    Args:
        model: As for `edge_popup`, and so are all other arguments.
        sparsity: The fraction of weights that is not used.
        scope: Of what that is a fraction.
        restart_from: What the weights are before they become binary.
        scale_fan: Whether to divide weights by the square root of the share that is used.
        include: Which kernels to take.
        exclude: Which of those to leave out.
        seed: Seed of the first scores.

    Returns:
        A `ScoredNetwork`. Its ticket has the binary values.

    Raises:
        ValueError: As from `edge_popup`.

    Example:

    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10, name="fc1")])
    >>> ticket = biprop(model, 0.5).ticket
    >>> alive = ticket.values["fc1/kernel"][ticket.masks["fc1/kernel"]]
    >>> len(np.unique(np.abs(alive)))
    1
    """
    counts = by_edges.counts_of(model, sparsity, scope, include, exclude)
    method = Method(
        name="biprop",
        settings={"sparsity": sparsity, "scope": scope, "scale_fan": scale_fan},
        begin=by_edges.uniform_scores,
        values=functools.partial(_values, counts),
        masks=lambda scores, rng: by_edges.kept(scores, counts),
        starts=_binary,
        scale=1 / math.sqrt(1 - sparsity) if scale_fan else 1.0,
    )
    return ScoredNetwork(model, method, restart_from, include, exclude, seed)


def _values(
    counts: Sequence[int] | int,
    starts: Sequence[Any],
    scores: Sequence[Any],
    training: bool,
    seeds: Any,
) -> list[Any]:
    ops = keras.ops
    found = []
    for start, score, mask in zip(starts, scores, by_edges.used(scores, counts), strict=True):
        mask = ops.cast(mask, start.dtype)
        alpha = ops.sum(ops.abs(start) * mask) / ops.maximum(ops.sum(mask), 1)
        found.append(by_edges.straight_through(alpha * ops.sign(start) * mask, start, score))
    return found


def _binary(starts: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        np.sign(start) * (np.abs(start[mask]).mean() if mask.any() else 0)
        for start, mask in zip(starts, masks, strict=True)
    ]
