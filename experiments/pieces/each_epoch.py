"""`EachEpoch`: its parent trained on, and pruned a little at the end of every epoch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

import keras_lottery as kl
from experiments.pieces.piece import Beginning, Descendant, Piece, as_json
from keras_lottery.core import selection

if TYPE_CHECKING:
    from experiments.bench import Bench


@dataclasses.dataclass(frozen=True)
class EachEpoch(Descendant):
    """Some epochs of training, each with a pruning before it; nothing is rewound.

    Args:
        parent: The piece that is trained on.
        recipe: How weights are ranked.
        rate: The fraction of the live weights to prune in all epochs together.
        overrides: Other rates by a regular expression on the kernel's name.
        epochs: The number of epochs.
        steps: The number of iterations in an epoch.
    """

    kind = "each_epoch"
    keeps_optimizer = True
    prunes_in_training = True

    parent: Piece
    recipe: kl.Recipe
    rate: float
    overrides: Mapping[str, float]
    epochs: int
    steps: int

    @property
    def definition(self) -> dict[str, Any]:
        """The parent's name, the recipe, the amounts and the length."""
        overrides = {"overrides": dict(self.overrides)} if self.overrides else {}
        return {
            "parent": self.parent.name,
            "recipe": as_json(self.recipe),
            "rate": self.rate,
            "epochs": self.epochs,
            **overrides,
        }

    @property
    def parents(self) -> tuple[Piece, ...]:
        """The piece that is trained on."""
        return (self.parent,)

    @property
    def depth(self) -> int:
        """The number of prunings."""
        return self.parent.depth + self.epochs

    @property
    def trained_before(self) -> int:
        """The number of epochs before."""
        parent = self.parent
        if isinstance(parent, EachEpoch):
            return parent.trained_before + parent.epochs
        return parent.iterations // self.steps

    @property
    def iterations(self) -> int:
        """The number of iterations that it is trained."""
        return self.epochs * self.steps

    def begin(self, bench: Bench) -> Beginning:
        """Goes on where the parent ended."""
        lottery = bench.restore(self.parent, self.recipe, None)
        before = self.trained_before
        return Beginning(
            first=before * self.steps,
            initial_epoch=before,
            last=(before + self.epochs) * self.steps,
            callbacks=(_PrunesEachEpoch(lottery, self, before),),
        )

    def search(self) -> dict[str, Any]:
        """The amounts at every epoch."""
        return {
            "door": "each_epoch",
            "recipe": self.recipe.to_json(),
            "rate": self.rate,
            "overrides": dict(self.overrides),
            "rewind": "None",
        }


class _PrunesEachEpoch(keras.callbacks.Callback):
    """Prunes before every epoch, so that all epochs together prune what a round would at once."""

    def __init__(self, lottery: kl.Lottery, piece: EachEpoch, first_epoch: int):
        super().__init__()
        self._lottery = lottery
        self._epochs = piece.epochs
        self._first_epoch = first_epoch
        self._alive = lottery.alive_counts
        rates = dict.fromkeys(self._alive, piece.rate)
        for pattern, rate in piece.overrides.items():
            rates |= {name: rate for name in rates if re.search(pattern, name)}
        counts = selection.counts_of_rate(lottery.masks, rates)
        self._left = {name: self._alive[name] - count for name, count in counts.items()}
        alone = piece.recipe.scope == "layerwise"
        self._own = [name for name, rate in rates.items() if alone or rate != piece.rate]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        part = (epoch + 1 - self._first_epoch) / self._epochs
        together = [name for name in self._alive if name not in self._own]
        own = {f"^{re.escape(name)}$": self._sparsity([name], part) for name in self._own}
        self._lottery.prune(self._sparsity(together, part), overrides=own)

    def _sparsity(self, names: list[str], part: float) -> float:
        """The sparsity of some kernels after a part of the round: the same factor each epoch."""
        size = sum(self._lottery.masks[name].size for name in names)
        alive = sum(self._alive[name] for name in names)
        left = sum(self._left[name] for name in names)
        return 1 - alive * (left / alive) ** part / size if alive else 0.0
