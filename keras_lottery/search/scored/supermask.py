"""Learned supermasks (Zhou et al. 2019, "Deconstructing Lottery Tickets", section 6.2,
https://arxiv.org/abs/1905.01067)."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.core.kernel import Kernel
from keras_lottery.model import variables
from keras_lottery.search.scored.network import Method, ScoredNetwork


def supermask(
    model: keras.Model,
    *,
    rescale: bool = True,
    end: str = "rounded",
    restart_from: str | Callable[[Kernel], np.ndarray] = "rewind",
    include: variables.Selector | None = None,
    exclude: variables.Selector | None = None,
    seed: int = 0,
) -> ScoredNetwork:
    """A network that learns with what probability to use each weight of a model (section 6.2).

    In training each weight is used with the probability `sigmoid(score)`, drawn anew in every step;
    the gradient goes to the probability. Scores begin at 0. The sparsity is an outcome, about a
    half. The paper trains with SGD at a learning rate of 100 and momentum 0.9.

    Args:
        model: A built `keras.Model` without masks. It need not be compiled.
        rescale: Whether to multiply a kernel's values by its size over the number of weights that
            are used ("dynamic weight rescaling").
        end: What inference and the ticket go by: `"rounded"`, the weights with a probability above
            a half, or `"sampled"`, a draw, as in the paper.
        restart_from: What the weights are: as they are in the model (`"rewind"`), or another
            function of `keras_lottery.restart_from`; the paper's best are `"signed_constant"`.
        include: Which kernels to take, as for `Recipe`.
        exclude: Which of those to leave out, likewise.
        seed: Seed of the draws.

    Returns:
        A `ScoredNetwork`: compile it, and train it as any model. Its ticket has the rescaled
        values.

    Raises:
        ValueError: If an argument is wrong, the model is not built, or has masks.

    Example:

    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10, name="fc1")])
    >>> search = supermask(model, end="sampled")
    >>> 0.3 < search.sparsity < 0.7
    True
    """
    if end not in ("rounded", "sampled"):
        raise ValueError(f"`end` must be 'rounded' or 'sampled', received {end!r}.")
    method = Method(
        name="supermask",
        settings={"rescale": rescale, "end": end},
        begin=lambda shape, rng: np.zeros(shape, "float32"),
        values=functools.partial(_values, rescale, end),
        masks=functools.partial(_masks, end),
        starts=functools.partial(_rescaled, rescale),
    )
    return ScoredNetwork(model, method, restart_from, include, exclude, seed)


def _values(
    rescale: bool,
    end: str,
    starts: Sequence[Any],
    scores: Sequence[Any],
    training: bool,
    seeds: Any,
) -> list[Any]:
    ops = keras.ops
    found = []
    for start, score in zip(starts, scores, strict=True):
        probability = ops.sigmoid(score)
        if training or end == "sampled":
            used = keras.random.uniform(start.shape, seed=seeds) < ops.stop_gradient(probability)
        else:
            used = score > 0
        mask = ops.cast(used, start.dtype)
        size = int(np.prod(start.shape))
        value = start * (size / ops.maximum(ops.sum(mask), 1)) if rescale else start
        # The second term is zero: only its gradient counts.
        through = value * (probability - ops.stop_gradient(probability))
        found.append(ops.stop_gradient(value * mask) + through)
    return found


def _masks(end: str, scores: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    if end == "rounded":
        return [score > 0 for score in scores]
    return [rng.random(score.shape) < 1 / (1 + np.exp(-score)) for score in scores]


def _rescaled(
    rescale: bool, starts: Sequence[np.ndarray], masks: Sequence[np.ndarray]
) -> list[np.ndarray]:
    if not rescale:
        return list(starts)
    return [
        start * np.float32(mask.size / max(1, int(np.count_nonzero(mask))))
        for start, mask in zip(starts, masks, strict=True)
    ]
