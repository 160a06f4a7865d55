"""`Outlook` foresees how far a `fit` follows a pruning schedule, and tells how far it did."""

import dataclasses
import math
from collections.abc import Mapping

from keras_lottery.core.foresight import ARRIVED, Course

# A schedule by the pattern of `overrides` that it is for; by `None`, that of the other kernels.
Patterns = Mapping[str | None, float]


@dataclasses.dataclass(frozen=True)
class Outlook:
    """A `fit` and the schedules in it.

    Args:
        courses: Where each schedule leads within the `fit`.
        achieved: The highest target of each schedule that prunes nothing at the `fit`'s beginning.
        sparsity: The sparsity of the model at the beginning.
        unit: The unit that the schedules count: `"epoch"` or `"step"`.
        first_epoch: The epoch that the `fit` begins with.
        epochs: The epoch that it ends before.
        steps: The number of steps in an epoch; 1 if the schedules count epochs.
        steps_per_execution: The number of steps that run in one execution.
        rewinds: Whether a rewind follows every pruning, so that none takes place at the end.
    """

    courses: Mapping[str | None, Course]
    achieved: Patterns
    sparsity: float
    unit: str
    first_epoch: int
    epochs: int
    steps: int
    steps_per_execution: int
    rewinds: bool

    def unfinished(self) -> str | None:
        """Return a warning if this `fit` ends before a schedule begins or ends, or `None`."""
        said = []
        for pattern, course in self.courses.items():
            last = self.epochs * self.steps - self.rewinds
            ahead = course.reached > self.achieved[pattern]
            goal, end = course.asked, course.end
            if course.endless:
                # There is no end to miss; it may still miss the first pruning.
                goal, end = (0.0, 0) if course.reached else (1.0, course.begin)
            if end <= last or goal - max(course.reached, self.achieved[pattern]) <= ARRIVED:
                continue
            asks = (
                f"prunes for the first time at {self.unit} {end}"
                if course.endless
                else f"asks for a sparsity of {goal:.4g} at {self.unit} {end}"
            )
            said.append(
                f"The schedule of `Prune`{_of(pattern)} {asks}, and this fit ends "
                f"{self._end()} with {course.reached if ahead else self.sparsity:.4g}: give it "
                f"`epochs={self._epochs_to(end)}`, or the schedule an earlier end."
            )
        if said and self.epochs - self.first_epoch == 1:
            said.append(
                "In a loop of fits of one epoch, count on, or every fit begins the schedule anew: "
                "fit(initial_epoch=epoch, epochs=epoch + 1)."
            )
        return " ".join(said) or None

    def begins_anew(self, trained: int) -> str | None:
        """Return a warning if a schedule begins anew in this `fit`, or `None`.

        Args:
            trained: The number of epochs at the end of the last `fit`.
        """
        ahead = [
            pattern
            for pattern, course in self.courses.items()
            if course.asked - self.achieved[pattern] > ARRIVED
        ]
        if not ahead or not trained or self.first_epoch:
            return None
        return (
            f"The schedule of `Prune`{_of(ahead[0])} begins anew at epoch 0, though the model was "
            f"trained with it up to epoch {trained} and has a sparsity of {self.sparsity:.4g}. To "
            f"go on: fit(initial_epoch={trained}, epochs={trained + self.epochs}); to begin anew "
            "on purpose: a new `Prune`."
        )

    def fallen_short(self, epoch: int, due: Patterns, sparsity: float) -> str | None:
        """Return a warning if less was pruned in the end than was asked for, or `None`.

        Args:
            epoch: The number of epochs that are trained.
            due: The targets of the last pruning.
            sparsity: The sparsity of the model.
        """
        for pattern, course in self.courses.items():
            asked = course.reached if course.endless else course.asked
            if asked - max(due.get(pattern, 0.0), self.achieved[pattern]) <= ARRIVED:
                continue
            end = course.last_change if course.endless else course.end
            stopped = epoch < self.epochs
            early = f" of {self.epochs}" if stopped else ""
            wait = f" What stopped it should wait: `start_from_epoch={self._epoch_of(end)}`."
            return (
                f"Training ended after epoch {epoch}{early} with a sparsity of {sparsity:.4g}; the "
                f"schedule of `Prune`{_of(pattern)} asks for {asked:.4g} at {self.unit} {end}. To "
                f"go on: fit(initial_epoch={epoch}, epochs={max(self._epochs_to(end), epoch + 1)}) "
                f"with the same `Prune`.{wait if stopped else ''}"
            )
        return None

    def last_pruning(self) -> int | None:
        """The first epoch that is trained after the last pruning; `None` if nothing is pruned."""
        changes = [
            course.last_change
            for pattern, course in self.courses.items()
            if course.reached - self.achieved[pattern] > ARRIVED
        ]
        return self._epoch_of(max(changes)) if changes else None

    def _epoch_of(self, step: int) -> int:
        """The first epoch whose end sees the pruning that is due at a step."""
        epoch, inside = divmod(step, self.steps)
        # A step inside an execution takes effect at its end, which may be that of the epoch.
        return epoch + (
            math.ceil(inside / self.steps_per_execution) * self.steps_per_execution >= self.steps
        )

    def _epochs_to(self, step: int) -> int:
        """The number of epochs that a `fit` needs to prune what is due at a step."""
        return math.ceil((step + self.rewinds) / self.steps)

    def _end(self) -> str:
        steps = f" (step {self.epochs * self.steps})" if self.unit == "step" else ""
        return f"after epoch {self.epochs}{steps}"


def _of(pattern: str | None) -> str:
    return "" if pattern is None else f" for {pattern!r}"
