"""Foresees what a schedule will ask for, before anything is trained.

A schedule is only a function, so its end is found by calling it. Its targets are assumed to rise,
since masks only shrink.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_lottery.core.schedules import Schedule

# No training has more steps than this.
_FAR = 2**24
# A schedule that comes as near as this to what it asks for has arrived.
ARRIVED = 1e-6
# A schedule of tfmot's kind prunes at some steps only: how far back the last of them may lie.
_WINDOW = 1024


@dataclass(frozen=True)
class Course:
    """The course of a schedule: where it leads, and how far a training of a known length gets.

    Args:
        asked: The sparsity that the schedule asks for in the end.
        begin: The first step at which it asks for any sparsity.
        end: The first step at which it asks for `asked`.
        reached: The most that it asks for up to the training's last step.
        last_change: The step of the training's last pruning: the first at which it asks for as much
            as at the last step. 0 if there is none.
        endless: Whether the schedule goes on until nothing is left, as `geometric` does.
    """

    asked: float
    begin: int
    end: int
    reached: float
    last_change: int
    endless: bool


def course(schedule: Schedule, plan: Schedule, last: int) -> Course:
    """Asks a schedule where it leads.

    Args:
        schedule: A schedule that `schedules.as_schedule` returned.
        plan: The same schedule without its pauses, made by `schedules.plan`.
        last: The last step of the training before or after which something may be pruned.

    Example:
        >>> from keras_lottery.core import schedules
        >>> schedule = schedules.polynomial(0.8, begin=1, end=5)
        >>> found = course(schedule, schedule, last=3)
        >>> found.asked, found.end, round(found.reached, 2), found.last_change
        (0.8, 5, 0.7, 3)
    """
    known = _last_known(plan)
    asked, near = plan(known), min(last, known)
    end = _first(plan, known, asked)
    reached = max(most(schedule, max(0, step - _WINDOW), step) for step in (near, min(near, end)))
    return Course(
        asked=max(asked, reached),
        begin=_first(plan, known, ARRIVED),
        end=end if asked >= reached else 0,
        reached=reached,
        last_change=_first(plan, near, plan(near)) if reached else 0,
        endless=asked >= 1 - ARRIVED,
    )


def most(schedule: Schedule, first: int, last: int) -> float:
    """Returns the highest target from step `first` to step `last`, or 0 if there is no such step.

    Example:
        >>> most(lambda step: 0.1 * step, 2, 5)
        0.5
    """
    return max(map(schedule, range(first, last + 1)), default=0.0)


def _last_known(plan: Schedule) -> int:
    """The last step that a schedule has an answer for: one that reads a list ends with it."""
    known, unknown = 0, 1
    while unknown <= _FAR and _answers(plan, unknown):
        known, unknown = unknown, 2 * unknown
    while unknown <= _FAR and unknown - known > 1:
        middle = (known + unknown) // 2
        known, unknown = (middle, unknown) if _answers(plan, middle) else (known, middle)
    return known


def _answers(plan: Schedule, step: int) -> bool:
    # What it does not answer is reported when training gets there, if it does.
    try:
        plan(step)
    except Exception:
        return False
    return True


def _first(plan: Schedule, last: int, target: float) -> int:
    """The first step up to the last one that asks for a target."""
    before, after = -1, last
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if plan(middle) >= target else (middle, after)
    return after
