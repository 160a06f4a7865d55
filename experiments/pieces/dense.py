"""`Dense`: the network as it was made, trained."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import keras_lottery as kl
from experiments import networks
from experiments.pieces.piece import Beginning, Piece
from experiments.settings import Training

if TYPE_CHECKING:
    from experiments.bench import Bench


@dataclasses.dataclass(frozen=True)
class Dense(Piece):
    """A dense network.

    Args:
        training: How it is trained.
        data: The fingerprint of the images.
        seed: The seed.
        until: The iteration to end at, if that is not the training's last: a rewind point.
    """

    kind = "dense"
    keeps_optimizer = True

    training: Training
    data: str
    seed: int
    until: int | None = None

    @property
    def definition(self) -> dict[str, Any]:
        """The settings of the training, the data and the seed."""
        until = {} if self.until is None else {"until": self.until}
        return {"training": self.training.to_json(), "data": self.data, "seed": self.seed, **until}

    @property
    def dense(self) -> Dense:
        """Itself."""
        return self

    @property
    def depth(self) -> int:
        """None."""
        return 0

    @property
    def iterations(self) -> int:
        """The number of iterations that it is trained."""
        return self.training.iterations if self.until is None else self.until

    def begin(self, bench: Bench) -> Beginning:
        """Begins with the initial weights."""
        bench.begin(kl.Recipe(exclude=networks.get(self.training.network).PRESET.exclude))
        return Beginning(first=0, initial_epoch=0, last=self.iterations)
