"""Learned supermasks (Zhou et al. 2019), whose sparsity is an outcome."""

from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned, _rounds
from experiments.methods._rounds import CONTROLS
from experiments.networks import Optimizer
from experiments.pieces.scored import Scored
from experiments.settings import Settings

USES = {"restart_from", *CONTROLS, "scores_learning_rate"}


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """One network, whatever the rounds are; its scores are trained as in the paper."""
    dense = _rounds.dense(settings, experiment, seed)
    yield Planned(DENSE, 0, dense)
    # Scores pass through a sigmoid, whose gradients are small: hence a rate that looks like a typo.
    optimizer = Optimizer("momentum", settings.scores_learning_rate or 100.0)
    piece = Scored(_rounds.beginning(dense), settings.recipe, "supermask", None, optimizer)
    yield Planned(TICKET, 1, piece)
    yield from _rounds.controls(settings, 1, piece)
