"""The networks of methods whose masks train to a sparsity."""

import dataclasses
from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned, _rounds
from experiments.methods._rounds import CONTROLS
from experiments.pieces.scored import Scored
from experiments.settings import Settings

SCORED = CONTROLS | {"scope", "restart_from", "rounds", "rate", "scores_learning_rate"}


def sparsities(
    way: str, settings: Settings, experiment: Experiment, seed: int
) -> Iterator[Planned]:
    """A network at the sparsity of each round, each trained from the beginning, and its controls.

    Args:
        way: A function of `kl.scored`.
        settings: The `Settings`.
        experiment: The `Experiment`.
        seed: The seed.
    """
    dense = _rounds.dense(settings, experiment, seed)
    yield Planned(DENSE, 0, dense)
    optimizer = settings.training.optimizer
    if settings.scores_learning_rate is not None:
        optimizer = dataclasses.replace(optimizer, learning_rate=settings.scores_learning_rate)
    for index in range(1, settings.rounds + 1):
        sparsity = 1 - (1 - settings.rate) ** index
        piece = Scored(_rounds.beginning(dense), settings.recipe, way, sparsity, optimizer)
        yield Planned(TICKET, index, piece)
        yield from _rounds.controls(settings, index, piece)
