"""`Event` applies a recipe to the kernels of a model, and gives the new masks."""

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery import scorers
from keras_lottery.core import event, lookup, scopes
from keras_lottery.core.kernel import Kernel
from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.model import variables

Records = Callable[[str, Collection[str]], Iterable[Kernel]]


@dataclasses.dataclass(frozen=True)
class Event:
    """The facts about a `Lottery` that an event needs.

    Args:
        model: The model that scorers look at.
        names: The names of the kernels.
        records: `(purpose, names) -> records`, the kernels as they are now.
        data: The data that scorers measure with, or `None`.
        rng: The generator that scorers draw from.
    """

    model: keras.Model
    names: list[str]
    records: Records
    data: Any
    rng: np.random.Generator

    def pruned(
        self,
        recipe: Recipe,
        sparsity: float | None,
        rate: float | None,
        overrides: Mapping[str, float] | None,
    ) -> dict[str, np.ndarray]:
        """Return the masks after a pruning; the arguments are those of `Lottery.prune`."""
        own = variables.overridden(overrides, self.names)
        criterion_of = scorers.once(self.model, self.data, self.rng)
        masks: dict[str, np.ndarray] = {}
        for one, names in recipe.ranked_alike(self.names):
            masks |= event.prune(
                self.records("rank", names),
                sparsity=sparsity,
                rate=rate,
                overrides={name: own[name] for name in names if name in own},
                criterion=criterion_of(one.criterion),
                scope=lookup.get(scopes, one.scope),
                granularity=one.granularity,
            )
        return masks

    def rewired(
        self, recipe: Recipe, fraction: float, grow: str | Callable[..., Any]
    ) -> dict[str, np.ndarray]:
        """Return the masks after a rewiring; the arguments are those of `Lottery.rewire`."""
        criterion_of = scorers.once(self.model, self.data, self.rng)
        masks: dict[str, np.ndarray] = {}
        for one, names in recipe.ranked_alike(self.names):
            masks |= event.rewire(
                self.records("rank", names),
                fraction=fraction,
                drop=criterion_of(one.criterion),
                grow=criterion_of(grow),
                granularity=one.granularity,
            )
        return masks


def amounts(
    masks: Mapping[str, np.ndarray],
    sparsity: float | None,
    overrides: Mapping[str, float] | None,
    rounds: int,
) -> list[tuple[float | None, Mapping[str, float] | None]]:
    """The `sparsity` and `overrides` of each of several prunings that lead to one.

    From what is alive now each leaves the same share of the one before: `keep ** (i / rounds)`.

    Args:
        masks: The masks now.
        sparsity: Where the last pruning is to arrive; `None` goes with `rounds` of 1 alone.
        overrides: Likewise for some kernels, by pattern.
        rounds: How many prunings.

    Raises:
        ValueError: If `rounds` is no count, or there are several and no `sparsity`.

    >>> masks = {"fc1/kernel": np.ones((10, 10), bool)}
    >>> [float(round(one, 3)) for one, _ in amounts(masks, 0.9, None, 2)]
    [0.684, 0.9]
    """
    if isinstance(rounds, bool) or not isinstance(rounds, int | np.integer) or rounds < 1:
        raise ValueError(f"`rounds` must be a positive integer, received {rounds!r}.")
    last = (sparsity, overrides)
    if rounds == 1:
        return [last]
    if sparsity is None:
        raise ValueError(
            f"`rounds` is {rounds}, and `rate` prunes once: give `sparsity`, where to arrive."
        )
    own = variables.overridden(overrides, masks)
    alive = {name: np.count_nonzero(mask) / mask.size for name, mask in masks.items()}
    shared = [mask for name, mask in masks.items() if name not in own]
    total = sum(mask.size for mask in shared)
    remaining = sum(map(np.count_nonzero, shared)) / total if total else 1.0

    def after(goal: float, now: float, number: int) -> float:
        keep = 1 - goal
        return 1 - now * (keep / now) ** (number / rounds) if 0 <= keep < now else goal

    earlier = [
        (
            after(sparsity, remaining, number),
            {
                f"^{re.escape(name)}$": after(goal, alive[name], number)
                for name, goal in own.items()
            },
        )
        for number in range(1, rounds)
    ]
    return [*earlier, last]


def later(given: How, first: Recipe, names: Iterable[str]) -> Recipe:
    """Return a recipe for masks that exist already, if it is for the same kernels.

    Args:
        given: The recipe, or a criterion alone.
        first: The recipe that the masks were made with.
        names: The names of the kernels.

    Raises:
        ValueError: If it chooses other kernels, or holds pruned weights at other values.
    """
    recipe = as_recipe(given, first)
    for what in ("include", "exclude"):
        mine, theirs = getattr(first, what), getattr(recipe, what)
        if theirs not in (None, mine):
            raise ValueError(
                f"`recipe` has {what}={theirs!r}, and the masks were made with {what}={mine!r}: "
                "kernels are fixed where the Lottery is made. Write "
                "dataclasses.replace(lottery.recipe, ...)."
            )
    before = first.of_kernels(names)
    for name, one in recipe.of_kernels(names).items():
        if one.hold_at != before[name].hold_at:
            raise ValueError(
                f"`recipe` holds {name!r} at {lookup.name_of(one.hold_at)!r}, and the masks were "
                f"made to hold it at {lookup.name_of(before[name].hold_at)!r}: held values are "
                "fixed where the Lottery is made."
            )
    return recipe


def refuse_what_cannot_grow(recipe: Recipe, names: Iterable[str]) -> None:
    """Raise a `ValueError` if nothing can grow by a recipe."""
    for name, one in recipe.of_kernels(names).items():
        if one.scope != "layerwise":
            raise ValueError(
                f"`recipe` has scope={lookup.name_of(one.scope)!r} for {name!r}: weights grow in "
                "scope 'layerwise' only, as many as are dropped in each kernel."
            )
        if one.hold_at != "zero":
            raise ValueError(
                f"`recipe` has hold_at={lookup.name_of(one.hold_at)!r} for {name!r}: a weight "
                "that grows starts at zero, so pruned weights have to be held at zero."
            )
