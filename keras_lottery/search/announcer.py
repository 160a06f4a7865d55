"""What `Prune` says: before training, what will not go as one would think; at its end, what did
not."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from keras_lottery.masks.lottery import Lottery
from keras_lottery.search import neighbours
from keras_lottery.search.outlook import Outlook
from keras_lottery.search.planned import Planned


class Announcer:
    """Warns once of each kind of thing, for each model.

    Args:
        planned: The schedules.
        unit: What they count: `"epoch"` or `"step"`.
        rewinds: Whether a pruning is followed by a rewind.
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
        """A `fit` begins.

        Args:
            lottery: Its masks.
            before: The callbacks that come before `Prune`.
            after: Those that come after it.
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
        """Say what will not go as one would think, the first time that the numbers are known.

        Args:
            first_epoch: The epoch that this `fit` begins at.
            epochs: The epoch that it ends before.
            steps: How many steps an epoch has, or `None` if that is not known yet.
            steps_per_execution: How many of them run at once.

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
        """The kernels were pruned to these targets."""
        for pattern, target in targets.items():
            self._asked[pattern] = max(target, self._asked.get(pattern, 0.0))

    def note_epoch(self) -> None:
        """What was to be pruned after an epoch is pruned."""
        self._sparsities.append(self._lottery.sparsity)

    def end(self, epoch: int) -> None:
        """A `fit` has ended: complete its history, and say what was asked for and not reached.

        Args:
            epoch: How many epochs are trained.
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
