"""`Announcer` warns of what `Prune` will not do as one would expect, and of what it did not."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from keras_lottery.masks.lottery import Lottery
from keras_lottery.search import neighbours
from keras_lottery.search.outlook import Outlook
from keras_lottery.search.planned import Planned


class Announcer:
    """Gives every kind of warning once for each model.

    Args:
        planned: The schedules.
        unit: The unit that the schedules count: `"epoch"` or `"step"`.
        rewinds: Whether a rewind follows a pruning.
    """

    def __init__(self, planned: Planned, unit: str, rewinds: bool):
        self._planned = planned
        self._unit = unit
        self._rewinds = rewinds
        self._lottery: Any = None  # a `Lottery`, once a training has begun

    def begin(
        self,
        lottery: Lottery,
        before: Iterable[keras.callbacks.Callback],
        after: Iterable[keras.callbacks.Callback],
    ) -> None:
        """Note that a `fit` begins.

        Args:
            lottery: The masks of its model.
            before: The callbacks that come before `Prune`.
            after: The callbacks that come after it.
        """
        if lottery is not self._lottery:
            self._lottery = lottery
            self._said: set[str] = set()
            self._asked: dict[str | None, float] = {}
            self._trained = 0
        self._beside = [*before, *after]
        self._outlook: Outlook | None = None
        self._sparsities: list[float] = []
        self._say("order", neighbours.deaf(before, ["sparsity"]))

    def look_ahead(
        self, first_epoch: int, epochs: int, steps: int | None, steps_per_execution: int
    ) -> None:
        """Warn of what will not go as one would expect, once the numbers are known.

        Args:
            first_epoch: The epoch that this `fit` begins with.
            epochs: The epoch that it ends before.
            steps: The number of steps in an epoch, or `None` if it is not known yet.
            steps_per_execution: The number of steps that run in one execution.

        Raises:
            ValueError: As from `neighbours.refuse_early_choice`.
        """
        if self._unit == "epoch":
            steps = steps_per_execution = 1
        if self._outlook is not None or not steps:
            return
        self._outlook = Outlook(
            courses=self._planned.courses(epochs * steps - self._rewinds),
            achieved=self._planned.achieved(self._lottery, self._asked),
            sparsity=self._lottery.sparsity,
            unit=self._unit,
            first_epoch=first_epoch,
            epochs=epochs,
            steps=steps,
            steps_per_execution=steps_per_execution,
            rewinds=self._rewinds,
        )
        self._say("anew", self._outlook.begins_anew(self._trained))
        self._say("unfinished", self._outlook.unfinished())
        self._say("choice", neighbours.refuse_early_choice(self._beside, self._outlook))

    def note_pruning(self, targets: Mapping[str | None, float]) -> None:
        """Note that the kernels were pruned to these targets."""
        for pattern, target in targets.items():
            self._asked[pattern] = max(target, self._asked.get(pattern, 0.0))

    def note_epoch(self) -> None:
        """Note that the pruning after an epoch, if there was one, is done."""
        self._sparsities.append(self._lottery.sparsity)

    def end(self, epoch: int) -> None:
        """Complete the history of a `fit` that has ended, and warn of targets it did not reach.

        Args:
            epoch: The number of epochs that are trained.
        """
        neighbours.add_to_history(self._beside, "sparsity_after", self._sparsities)
        if self._outlook is not None:
            sparsity = self._lottery.sparsity
            self._say("short", self._outlook.fallen_short(epoch, self._asked, sparsity))
        self._trained = epoch

    def _say(self, kind: str, message: str | None) -> None:
        if message and kind not in self._said:
            self._said.add(kind)
            warnings.warn(message, stacklevel=4)
