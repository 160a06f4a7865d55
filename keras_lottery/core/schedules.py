"""Schedules: when to prune how much. A schedule is a function `step -> target sparsity`.

A step is a number of epochs or of batches, as the user decides. The target is the fraction pruned
by then, in [0, 1], never an increment: a schedule has no memory, so it can be resumed, plotted and
tested. Masks only shrink, so a target below what is pruned already does nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from numbers import Real
from typing import Any

from keras_lottery.core import lookup
from keras_lottery.core.made import Made, maker

Schedule = Callable[[int], float]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MadeSchedule(Made):
    """A schedule that a function of this module made: it prints, compares and pickles as the call.

    Args:
        target: The function `step -> target sparsity`.

    >>> constant(0.5), constant(0.5) == constant(0.5, begin=0)
    (constant(0.5), True)
    """

    target: Schedule

    def __call__(self, step: int) -> float:
        """The sparsity that is due after `step` steps."""
        return self.target(step)


@maker
def constant(sparsity: float, begin: int = 0) -> MadeSchedule:
    """Asks for one target, from step `begin` on.

    Args:
        sparsity: The target, in [0, 1].
        begin: The first step that prunes. At 0 that is before any training: too early for a
            criterion that looks back at earlier values, such as `movement`.

    Raises:
        ValueError: `sparsity` is not in [0, 1], or `begin` is below 0.

    Example:
        >>> [constant(0.5, begin=2)(step) for step in (0, 1, 2, 3)]
        [0.0, 0.0, 0.5, 0.5]
    """
    _check_fraction("sparsity", sparsity)
    _check_least("begin", begin, 0)
    return MadeSchedule(lambda step: float(sparsity) if step >= begin else 0.0)


@maker
def geometric(rate: float, every: int = 1, begin: int = 0) -> MadeSchedule:
    """Prunes a fraction of the live weights each time: the target is `1 - (1 - rate) ** times`.

    Args:
        rate: The fraction of the live weights to prune each time, in [0, 1].
        every: Steps from one time to the next.
        begin: Where the first `every` steps start; the first pruning comes at their end.

    Raises:
        ValueError: `rate` is not in [0, 1], `every` is below 1 or `begin` below 0.

    Example:
        >>> [geometric(0.5, every=2)(step) for step in (0, 2, 4, 6)]
        [0.0, 0.5, 0.75, 0.875]
    """
    _check_fraction("rate", rate)
    _check_least("every", every, 1)
    _check_least("begin", begin, 0)
    return MadeSchedule(lambda step: 1.0 - (1.0 - rate) ** max(0, (step - begin) // every))


@maker
def polynomial(
    final: float, begin: int, end: int, every: int = 1, initial: float = 0.0, power: float = 3
) -> MadeSchedule:
    """Prunes fast at first, then ever more slowly: the cubic of Zhu & Gupta 2017.

    The target is `final + (initial - final) * (1 - t) ** power`, where `t` goes from 0 at `begin`
    to 1 at `end`; before `begin` it is 0, after `end` it is `final`
    (https://arxiv.org/abs/1710.01878).

    Args:
        final: The last target, in [0, 1].
        begin: The step of the first target, `initial`.
        end: The step of the last target, after `begin`.
        every: Steps from one target to the next; between them the target stays.
        initial: The first target, in [0, `final`].
        power: 3 is the paper's, 1 is linear.

    Raises:
        ValueError: `final` is not in [0, 1], `initial` not in [0, `final`], `begin` is below 0,
            `end` not after it, `every` below 1, or `power` not above 0.

    Example:
        >>> [polynomial(0.8, begin=1, end=5)(step) for step in (1, 2, 3, 5)]
        [0.0, 0.4625, 0.7..., 0.8]
    """
    _check_fraction("final", final)
    _check_fraction("initial", initial)
    _check_least("begin", begin, 0)
    _check_least("end", end, begin + 1)
    _check_least("every", every, 1)
    if initial > final:
        raise ValueError(f"`initial` is {initial}; it must not be above `final`, {final}.")
    if power <= 0:
        raise ValueError(f"`power` is {power}; it must be above 0.")

    def target(step: int) -> float:
        if step < begin:
            return 0.0
        if step >= end:
            return float(final)
        progress = (step - begin) // every * every / (end - begin)
        return float(final + (initial - final) * (1.0 - progress) ** power)

    return MadeSchedule(target)


def as_schedule(schedule: Callable[[int], Any]) -> Schedule:
    """Returns a schedule for one of any kind: made here, your own, or tfmot's.

    A `PruningSchedule` of the TensorFlow Model Optimization Toolkit answers with two tensors,
    whether to prune at this step and to what sparsity. It becomes the sparsity at steps that
    prune, and 0, which does nothing, at the others. tfmot is not imported.

    Args:
        schedule: Called with a step; gives a number, or a pair `(should_prune, sparsity)`.

    Raises:
        ValueError: It cannot be called with a step, or its target is no number in [0, 1]: at step
            0, which is asked for at once, or later.

    Example:
        >>> every_third = as_schedule(lambda step: (step % 3 == 0, 0.9))
        >>> [every_third(step) for step in (0, 1, 2, 3)]
        [0.9, 0.0, 0.0, 0.9]
    """
    if not callable(schedule):
        raise ValueError(
            f"`schedule` is {schedule!r}; pass a function of the step, such as "
            "schedules.polynomial(0.9, begin=1, end=8)."
        )

    def target(step: int) -> float:
        should_prune, sparsity = _answer(schedule, step)
        return _sparsity(sparsity, step) if should_prune else 0.0

    try:
        target(0)
    except TypeError as error:
        raise ValueError(
            f"`schedule` is {lookup.name_of(schedule)}, which cannot be called with a step: "
            f"{error}. Pass what a schedule's maker returns, such as "
            "schedules.polynomial(0.9, begin=1, end=8)."
        ) from error
    return target


def plan(schedule: Callable[[int], Any]) -> Schedule:
    """Returns a schedule as `as_schedule` does, but without the pauses of tfmot's kind.

    At steps that do not prune it asks for what it would ask for if they did: so a plan rises, and
    its end can be found.

    Args:
        schedule: As for `as_schedule`.

    Example:
        >>> every_third = plan(lambda step: (step % 3 == 0, 0.9))
        >>> [every_third(step) for step in (0, 1, 2, 3)]
        [0.9, 0.9, 0.9, 0.9]
    """
    begin = getattr(schedule, "begin_step", 0)

    def target(step: int) -> float:
        # tfmot's answer before its begin is the sparsity that it begins with.
        return _sparsity(_answer(schedule, step)[1], step) if step >= begin else 0.0

    return target


def _answer(schedule: Callable[[int], Any], step: int) -> tuple[Any, Any]:
    answer = schedule(step)
    return answer if isinstance(answer, tuple) else (True, answer)


def _sparsity(answer: Any, step: int) -> float:
    if not hasattr(answer, "__float__"):
        raise ValueError(f"`schedule` is {answer!r} at step {step}; it must be a number in [0, 1].")
    _check_fraction(f"the schedule at step {step}", float(answer))
    return float(answer)


def _check_fraction(name: str, value: float) -> None:
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"`{name}` is {value}; a sparsity or rate must be in [0, 1].")


def _check_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, Real) or value < least:
        raise ValueError(f"`{name}` is {value}; it must be {least} or more.")
