"""Pruning at every epoch, never rewinding: rounds are stretches of one training."""

import dataclasses
from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned, _rounds
from experiments.pieces.each_epoch import EachEpoch
from experiments.pieces.piece import measures_with_data
from experiments.settings import Settings

USES = {"criterion", "scope", "granularity", "hold_at", "rounds", "rate"}


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """The first round is dense; the epochs of a later one prune together as much as its rate."""
    if measures_with_data(settings.recipe):
        raise ValueError(
            f"`criterion`={settings.recipe.criterion!r} measures with data, which pruning at every "
            "epoch does not give it: take a criterion such as large_final or movement."
        )
    epochs = epochs_of(settings, experiment)
    settings = in_epochs(settings, experiment, epochs)
    piece = _rounds.dense(settings, experiment, seed)
    yield Planned(DENSE, 0, piece)
    for index in range(1, settings.rounds + 1):
        piece = EachEpoch(
            piece,
            settings.recipe,
            settings.rate,
            settings.overrides,
            epochs,
            experiment.steps,
        )
        yield Planned(TICKET, index, piece)


def epochs_of(settings: Settings, experiment: Experiment) -> int:
    """The number of whole epochs nearest to the iterations of a round."""
    return max(1, round(settings.training.iterations / experiment.steps))


def in_epochs(settings: Settings, experiment: Experiment, epochs: int) -> Settings:
    """The same settings with so many epochs of iterations."""
    training = dataclasses.replace(settings.training, iterations=epochs * experiment.steps)
    return dataclasses.replace(settings, training=training)
