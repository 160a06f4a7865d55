"""`Rewired`: a network that is sparse from the beginning, and whose wires move in training."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import keras_lottery as kl
from experiments.pieces.from_beginning import FromBeginning
from experiments.pieces.piece import Beginning, as_json

if TYPE_CHECKING:
    from experiments.bench import Bench


@dataclasses.dataclass(frozen=True)
class Rewired(FromBeginning):
    """Dynamic sparse training (SET, RigL); see `kl.Rewire`.

    Args:
        parent: The dense network at its beginning.
        recipe: What is dropped.
        sparsity: The sparsity.
        grow: What grows: a criterion or scorer. Without any, nothing moves: a static random mask.
        every: The number of iterations between two rewirings.
        scored_images: Training images that `grow` measures with.
    """

    kind = "rewired"

    sparsity: float
    grow: str
    every: int
    scored_images: int

    @property
    def definition(self) -> dict[str, Any]:
        """The beginning's name and the settings."""
        return {
            "parent": self.parent.name,
            "recipe": as_json(self.recipe),
            "sparsity": self.sparsity,
            "grow": self.grow,
            **({"every": self.every, "scored_images": self.scored_images} if self.grow else {}),
        }

    def begin(self, bench: Bench) -> Beginning:
        """Makes random masks, with densities by the Erdos-Renyi-kernel rule."""
        lottery = bench.restore(self.parent, self.recipe, None)
        at_random = dataclasses.replace(self.recipe, criterion="random", scope="erdos_renyi")
        lottery.prune(self.sparsity, recipe=at_random)
        callbacks = ()
        if self.grow:
            measured = kl.Recipe(self.grow)
            rewire = kl.Rewire(
                None,
                self.recipe,
                grow=self.grow,
                every=self.every,
                data=bench.scored(measured, self.scored_images),
                seed=self.seed,
            )
            callbacks = (rewire,)
        return Beginning(0, 0, self.iterations, {"activations": bench.activations()}, callbacks)

    def search(self) -> dict[str, Any]:
        """As `kl.Rewire` has it."""
        return {
            "door": "Rewire" if self.grow else "random masks",
            "recipe": self.recipe.to_json(),
            "sparsity": self.sparsity,
            "grow": self.grow,
        }
