"""`Pruned`: its parent's weights ranked and pruned, the rest rewound and trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras_lottery as kl
from experiments import policies
from experiments.pieces.dense import Dense
from experiments.pieces.piece import (
    Beginning,
    Descendant,
    Piece,
    as_json,
    measures_with_data,
)

if TYPE_CHECKING:
    from experiments.bench import Bench


@dataclasses.dataclass(frozen=True)
class Pruned(Descendant):
    """A round of pruning.

    Args:
        parent: The piece whose trained weights are ranked.
        recipe: How.
        rate: The fraction of the live weights to prune.
        overrides: Other rates by a regular expression on the kernel's name.
        rewind: Where to rewind to, as `policies.rewind_policy` reads it.
        scored_images: Training images that a scorer measures with; no matter without one.
        prunings: In how many prunings; more than one for scorers such as `synflow`.
        steps: The number of iterations in an epoch, if it rewinds to an epoch.
    """

    kind = "pruned"

    parent: Piece
    recipe: kl.Recipe
    rate: float
    overrides: Mapping[str, float]
    rewind: str = "start"
    scored_images: int = 0
    prunings: int = 1
    steps: int = 0

    @property
    def keeps_optimizer(self) -> bool:
        """Whether a child would train on from the optimizer's state."""
        return self.rewind == "none"

    @property
    def definition(self) -> dict[str, Any]:
        """The parent's name, the recipe and the amounts."""
        done = {"parent": self.parent.name, "recipe": as_json(self.recipe), "rate": self.rate}
        for setting, default in (("overrides", {}), ("rewind", "start"), ("prunings", 1)):
            if getattr(self, setting) != default:
                done[setting] = getattr(self, setting)
        if measures_with_data(self.recipe):
            done["scored_images"] = self.scored_images
        return done

    @property
    def parents(self) -> tuple[Piece, ...]:
        """The pruned piece, and the dense network at the rewind point."""
        return (self.parent, *([self.point] if self.point else []))

    @property
    def point(self) -> Dense | None:
        """The dense network at the rewind point, if that is not its start."""
        at = self.rewound_to
        return dataclasses.replace(self.parent.dense, until=at) if at else None

    @property
    def depth(self) -> int:
        """The number of prunings."""
        return self.parent.depth + 1

    @property
    def rewound_to(self) -> int:
        """The number of iterations before the rewind point."""
        policy = policies.rewind_policy(self.rewind)
        if policy is None:
            return 0
        return policy.at * (self.steps if policy.unit == "epoch" else 1)

    @property
    def first(self) -> int:
        """The number of iterations that its weights had when the training begins."""
        return self.rewound_to

    @property
    def iterations(self) -> int:
        """The number of iterations that it is trained."""
        return self.training.iterations - self.first

    def begin(self, bench: Bench) -> Beginning:
        """Prunes and rewinds."""
        lottery = bench.restore(self.parent, self.recipe, self.point)
        before, trained = lottery.masks, bench.kernels()
        lottery.prune(
            **{"rate": self.rate} if self.prunings == 1 else self._at_once(lottery),
            overrides=self.overrides,
            data=bench.scored(self.recipe, self.scored_images),
        )
        policy = policies.rewind_policy(self.rewind)
        if policy is not None:
            policy.restore(lottery)
        newly = {name: before[name] & ~mask for name, mask in lottery.masks.items()}
        moved = bench.moved(trained, newly)
        return Beginning(
            first=self.first,
            initial_epoch=initial_epoch(self.rewind),
            last=self.training.iterations,
            measures={"moved_pruned": moved, "activations": bench.activations()},
        )

    def _at_once(self, lottery: kl.Lottery) -> dict[str, Any]:
        """The same amount of a dense network, in several prunings."""
        alive = 1 - lottery.sparsity
        return {"sparsity": 1 - alive * (1 - self.rate), "rounds": self.prunings}

    def search(self) -> dict[str, Any]:
        """As a ticket of `kl.rounds` has it."""
        return {
            "door": "rounds",
            "recipe": self.recipe.to_json(),
            "rate": self.rate,
            "overrides": dict(self.overrides),
            "rewind": str(policies.rewind_policy(self.rewind)),
        }


def initial_epoch(rewind: str) -> int:
    """The epoch whose batches come first after a rewind: from a step, the order restarts."""
    policy = policies.rewind_policy(rewind)
    return policy.at if policy is not None and policy.unit == "epoch" else 0
