"""`Scored`: masks that train over weights that do not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import keras

from experiments.networks import Optimizer
from experiments.pieces.from_beginning import FromBeginning
from experiments.pieces.piece import Beginning, as_json
from experiments.settings import without_defaults
from keras_lottery.search import scored

if TYPE_CHECKING:
    from experiments.bench import Bench


@dataclasses.dataclass(frozen=True)
class Scored(FromBeginning):
    """A network of `kl.scored`.

    Args:
        parent: The dense network at its beginning.
        recipe: Which kernels, and what their weights are (`restart_from`).
        way: A function of `kl.scored`.
        sparsity: The sparsity, if the way takes one.
        optimizer: What trains the scores.
    """

    kind = "scored"

    way: str
    sparsity: float | None
    optimizer: Optimizer

    @property
    def definition(self) -> dict[str, Any]:
        """The beginning's name and the settings."""
        return {
            "parent": self.parent.name,
            "way": self.way,
            "recipe": as_json(self.recipe),
            "sparsity": self.sparsity,
            "optimizer": without_defaults(self.optimizer),
        }

    def begin(self, bench: Bench) -> Beginning:
        """Puts scores around the model."""
        bench.begin(self.recipe).detach()
        amount = {} if self.sparsity is None else {"sparsity": self.sparsity}
        if self.sparsity is not None:
            amount["scope"] = self.recipe.scope
        network = getattr(scored, self.way)(
            bench.model,
            **amount,
            restart_from=self.recipe.restart_from,
            exclude=self.recipe.exclude,
            seed=self.seed,
        )
        network.compile(
            optimizer=self.optimizer.make(self.iterations),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return Beginning(0, 0, self.iterations, network=network)

    def search(self) -> dict[str, Any]:
        """As the ticket of `kl.scored` has it."""
        return {"door": self.way, "recipe": {}, "sparsity": self.sparsity}
