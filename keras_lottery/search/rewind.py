"""Rewind policies for `Prune` and `rounds`: what goes back after a pruning, and to which point.

Each function but `check` takes settings and returns a `Rewind`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras_lottery.core import lookup
from keras_lottery.core.recipe import Recipe


def _everything(lottery: Any) -> None:
    lottery.rewind()


def _optimizer(lottery: Any) -> None:
    lottery.rewind_optimizer()


@dataclasses.dataclass(frozen=True)
class Rewind:
    """A rewind point and what goes back to it after a pruning.

    Args:
        at: The number of steps or epochs of training before the point. 0 is initialisation.
        unit: `"step"` or `"epoch"`.
        restore: A function of a `Lottery` that puts it back to its saved point.

    Raises:
        ValueError: If `at` is not an integer of 0 or more.
    """

    at: int
    unit: str
    restore: Callable

    def __post_init__(self) -> None:
        """Refuse a point before the start of training."""
        if not isinstance(self.at, int) or self.at < 0:
            raise ValueError(
                f"A rewind point must be an integer of 0 or more, received {self.at!r}."
            )

    def __str__(self) -> str:
        """Say what goes back to which point, as tickets record it."""
        return f"{self.restore.__name__.lstrip('_')} to {self.unit} {self.at}"


def to_start() -> Rewind:
    """Rewind everything to initialisation (Frankle & Carbin 2019, section 2).

    >>> to_start().at
    0
    """
    return Rewind(0, "step", _everything)


def to_step(step: int) -> Rewind:
    """Rewind everything to its value after `step` training steps (Frankle et al. 2020, section 4).

    The papers train on for the steps that are left at the point: of T steps in all, train
    T - `step` after the rewind. Nothing here ends a training early, so give `fit` another
    `steps_per_epoch` or `epochs`; for whole epochs use `to_epoch`.

    Args:
        step: The number of training steps before the point, 0 or more.

    Returns:
        A `Rewind`.

    Raises:
        ValueError: If `step` is not an integer of 0 or more.

    >>> to_step(500).at, to_step(500).unit
    (500, 'step')
    """
    return Rewind(step, "step", _everything)


def to_epoch(epoch: int) -> Rewind:
    """Rewind everything to its value after `epoch` training epochs.

    Give `fit` this epoch as `initial_epoch`: training then goes on from it, and ends when it would
    have ended without a rewind.

    Args:
        epoch: The number of training epochs before the point, 0 or more.

    Returns:
        A `Rewind`.

    Raises:
        ValueError: If `epoch` is not an integer of 0 or more.

    >>> to_epoch(2).unit
    'epoch'
    """
    return Rewind(epoch, "epoch", _everything)


def learning_rate(point: Rewind | None = None) -> Rewind:
    """Keep the trained weights; rewind only the optimizer (Renda et al. 2020, section 3).

    The optimizer's iteration count, learning rate and slots go back to the point, so that a
    learning-rate schedule runs again from there; the weights keep their trained values.

    Args:
        point: Where the optimizer goes back to. Defaults to `to_start()`.

    Returns:
        A `Rewind`.

    >>> str(learning_rate(to_epoch(2)))
    'optimizer to epoch 2'
    """
    return dataclasses.replace(point or to_start(), restore=_optimizer)


def check(policy: Rewind | None, recipe: Recipe) -> None:
    """Refuse a `rewind` that is no policy, or that leaves the recipe's `restart_from` no use.

    Args:
        policy: The argument `rewind`.
        recipe: The recipe that was given with it.

    Raises:
        ValueError: If `policy` is neither `None` nor a `Rewind`, or leaves weights alone while
            the recipe's `restart_from` is to change them.
    """
    if policy is not None and not isinstance(policy, Rewind):
        raise ValueError(
            "`rewind` must be None or a policy such as keras_lottery.rewind.to_start(), "
            f"received {policy!r}."
        )
    leaves_weights = policy is None or policy.restore is _optimizer
    for one in (recipe, *(other for _, other in recipe.otherwise)):
        if leaves_weights and one.restart_from != "rewind":
            raise ValueError(
                f"`restart_from`={lookup.name_of(one.restart_from)!r} needs a `rewind` of the "
                "weights; this one leaves them alone."
            )
