"""`instability` and `choose_rewind_step`: from which step on training is stable."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.core.recipe import How, Recipe
from keras_lottery.landscape.barriers import Barrier, barrier, values_of
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import variables

Train = Callable[[keras.Model, int, int, int], Any]


def instability(
    make_model: Callable[[], keras.Model],
    train: Train,
    data: Any,
    *,
    steps: int,
    from_step: int = 0,
    seeds: tuple[int, int] = (1, 2),
    points: int = 30,
) -> Barrier:
    """The barrier between two copies of a network that see the data in other orders (section 2).

    Args:
        make_model: A function that makes the compiled model, with the same weights in every call.
        train: `train(model, first, last, seed)` trains a model from one step to another, over the
            data in an order that depends on the seed.
        data: What the barrier is measured on, a pair of arrays `(x, y)`.
        steps: How many steps the whole training has.
        from_step: The step from which the copies go different ways. Before it they are one, trained
            with the seed 0.
        seeds: The seeds of the two copies after it.
        points: As for `barrier`.

    Returns:
        A `Barrier`: where its `stable` is true, the network is stable from this step on.

    Raises:
        ValueError: If `from_step` is not within the training, or two calls of `make_model` give
            other weights.

    Example, with `keras_lottery.fit` and one epoch of 100 steps to an order:

        def train(model, first, last, seed):
            kl.fit(model, x, y, initial_epoch=first // 100, epochs=last // 100, seed=seed)

        found = kl.landscape.instability(make_model, train, (x_test, y_test), steps=1000)
    """
    if not 0 <= from_step < steps:
        raise ValueError(
            f"`from_step` must be in [0, {steps}), the steps of the training; received "
            f"{from_step!r}."
        )
    copies = [make_model(), make_model()]
    _refuse_unlike(copies)
    return _copies_apart(copies, train, data, steps, from_step, seeds, points)


def choose_rewind_step(
    make_model: Callable[[], keras.Model],
    train: Train,
    data: Any,
    *,
    steps: int,
    sparsity: float,
    candidates: Sequence[int],
    recipe: How = Recipe(),  # noqa: B008 (a frozen record)
    points: int = 30,
) -> int | None:
    """The earliest step to rewind to at which the pruned network is stable (section 4).

    For each candidate a network is trained to the end and pruned at once, its weights are rewound
    to that step, and two copies of it are trained on with other orders of the data. The first
    candidate that is stable is the answer.

    Args:
        make_model: As for `instability`.
        train: As for `instability`.
        data: As for `instability`.
        steps: As for `instability`.
        sparsity: The sparsity of the pruned network.
        candidates: Steps to try, from the earliest to the latest.
        recipe: What ranks the weights.
        points: As for `barrier`.

    Returns:
        The step, or `None` if none of the candidates is stable, with a warning.

    Raises:
        ValueError: As from `instability`, or there are no candidates.
    """
    if not candidates or sorted(candidates) != list(candidates):
        raise ValueError(f"`candidates` must be steps in rising order, received {candidates!r}.")
    found: dict[int, float | None] = {}
    for step in candidates:
        copies = [make_model() for _ in range(3)]
        _refuse_unlike(copies)
        dense, *copies = copies
        if step:
            for one in (dense, *copies):
                train(one, 0, step, 0)
        train(dense, step, steps, 0)
        pruned = Lottery(dense, recipe)
        pruned.prune(sparsity)
        for one in copies:
            names = variables.names_in({n: v.shape for n, v in variables.named(dense).items()}, one)
            masks = {names[name]: mask for name, mask in pruned.masks.items()}
            Lottery(one, recipe, masks=masks)
        apart = _copies_apart(copies, train, data, steps, step, (1, 2), points, shared=True)
        if apart.stable:
            return step
        found[step] = apart.error
    warnings.warn(
        f"No step of {list(candidates)} is stable; error barriers: {found}. Try later ones.",
        stacklevel=2,
    )
    return None


def _copies_apart(
    copies: Sequence[keras.Model],
    train: Train,
    data: Any,
    steps: int,
    from_step: int,
    seeds: Sequence[int],
    points: int,
    shared: bool = False,
) -> Barrier:
    """Train two copies apart; `shared` says that they have come to `from_step` already."""
    for model, seed in zip(copies, seeds, strict=True):
        if from_step and not shared:
            train(model, 0, from_step, 0)
        train(model, from_step, steps, seed)
    first, second = copies
    return barrier(first, second, data, points=points)


def _refuse_unlike(copies: Sequence[keras.Model]) -> None:
    first, *others = [list(values_of(model).values()) for model in copies]
    for other in others:
        if len(other) != len(first) or not all(map(np.array_equal, first, other)):
            raise ValueError(
                "`make_model` gives other weights in every call: call "
                "keras.utils.set_random_seed in it."
            )
