"""`Planned` has the schedules of a `Prune`: one for most kernels, and others by pattern."""

import dataclasses
from collections.abc import Callable, Mapping

from keras_lottery.core import foresight, schedules
from keras_lottery.core.schedules import Schedule
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import variables


@dataclasses.dataclass(frozen=True)
class Planned:
    """Schedules by pattern of `overrides`; under `None` is the schedule of all other kernels.

    Args:
        schedules: Functions of a step that return the target.
        plans: The same schedules without pauses, see `schedules.plan`.
    """

    schedules: dict[str | None, Schedule]
    plans: dict[str | None, Schedule]

    @classmethod
    def of(cls, schedule: Callable, overrides: Mapping[str, Callable] | None) -> "Planned":
        """Make the record from the arguments of a user.

        Args:
            schedule: A schedule of any kind that `schedules.as_schedule` takes.
            overrides: Other schedules by pattern.

        Raises:
            ValueError: If one of them is no schedule.
        """
        given: dict[str | None, Callable] = {None: schedule}
        given.update(overrides or {})
        return cls(
            {pattern: schedules.as_schedule(one) for pattern, one in given.items()},
            {pattern: schedules.plan(one) for pattern, one in given.items()},
        )

    def targets(self, first: int, last: int) -> dict[str | None, float]:
        """The highest target of each schedule between two steps, both included."""
        return {
            pattern: foresight.most(one, first, last) for pattern, one in self.schedules.items()
        }

    def courses(self, last: int) -> dict[str | None, foresight.Course]:
        """The course of each schedule: where it leads, and how far it gets by a step."""
        return {
            pattern: foresight.course(one, self.plans[pattern], last)
            for pattern, one in self.schedules.items()
        }

    def prunes_before(self, step: int) -> bool:
        """Return whether a schedule asks for any pruning before a step."""
        return step > 0 and any(course.reached for course in self.courses(step - 1).values())

    def achieved(self, lottery: Lottery, targets: Mapping[str | None, float]) -> dict:
        """The highest target of each schedule that prunes nothing any more.

        Args:
            lottery: The masks of the kernels.
            targets: The highest targets that the kernels were pruned to.
        """
        patterns = {pattern: pattern for pattern in self.schedules if pattern is not None}
        own = variables.overridden(patterns, lottery.names)
        sizes = {name: mask.size for name, mask in lottery.masks.items()}
        alive = lottery.alive_counts
        reached = {}
        for pattern in self.schedules:
            names = [name for name in lottery.names if own.get(name) == pattern]
            size = sum(sizes[name] for name in names)
            # A target is rounded to whole weights in each kernel.
            pruned = size - sum(alive[name] for name in names) + len(names) / 2
            reached[pattern] = max(targets.get(pattern, 0.0), pruned / size if size else 1.0)
        return reached

    def describe(self, unit: str) -> str:
        """Say in a few words where the schedule of most kernels leads."""
        course = self.courses(0)[None]
        others = "".join(f", another in {pattern!r}" for pattern in self.schedules if pattern)
        if course.endless:
            return f"from {unit} {course.begin} on without end{others}"
        return f"to a sparsity of {course.asked:.4g} at {unit} {course.end}{others}"
