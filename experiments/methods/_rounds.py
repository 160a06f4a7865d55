"""The pieces that methods in rounds are made of."""

import dataclasses
from collections.abc import Callable, Iterator

from experiments.experiment import Experiment
from experiments.methods import Planned
from experiments.pieces.control import Control
from experiments.pieces.dense import Dense
from experiments.pieces.piece import Descendant, Piece
from experiments.pieces.pruned import Pruned
from experiments.settings import Settings

# The search settings that controls use, and those of rounds of pruning and rewinding.
CONTROLS = frozenset({"controls", "control_rounds"})
ROUNDS = CONTROLS | {
    "criterion",
    "scope",
    "granularity",
    "restart_from",
    "hold_at",
    "rounds",
    "rate",
    "rewind",
    "scored_images",
}


def dense(settings: Settings, experiment: Experiment, seed: int) -> Dense:
    """The dense network of a seed."""
    return Dense(settings.training, experiment.dataset.fingerprint, seed)


def beginning(piece: Dense) -> Dense:
    """The same network before any training."""
    return dataclasses.replace(piece, until=0)


def pruned(
    settings: Settings,
    experiment: Experiment,
    parent: Piece,
    amount: Callable[[float], float],
    prunings: int = 1,
) -> Pruned:
    """A round that prunes a piece.

    Args:
        settings: The `Settings`.
        experiment: The `Experiment`.
        parent: The piece.
        amount: A function from a rate of the settings to the rate to prune at.
        prunings: In how many prunings.

    Raises:
        ValueError: If the rewind point comes after the training.
    """
    piece = Pruned(
        parent,
        settings.recipe,
        amount(settings.rate),
        {pattern: amount(rate) for pattern, rate in settings.overrides.items()},
        settings.rewind,
        settings.scored_images,
        prunings,
        steps=experiment.steps,
    )
    if piece.rewound_to >= settings.training.iterations:
        raise ValueError(
            f"The rewind point is iteration {piece.rewound_to:,}, and a round has only "
            f"{settings.training.iterations:,}."
        )
    return piece


def controls(settings: Settings, index: int, piece: Descendant) -> Iterator[Planned]:
    """The controls of a round."""
    for kind, rounds in settings.controls.items():
        if index in rounds:
            yield Planned(kind, index, Control(piece, kind))
