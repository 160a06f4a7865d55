"""Learned supermasks (Zhou et al. 2019), whose sparsity is an outcome."""

from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned, _rounds
from experiments.pieces.scored import Scored
from experiments.settings import Settings


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """One network, whatever the rounds are."""
    dense = _rounds.dense(settings, experiment, seed)
    yield Planned(DENSE, 0, dense)
    piece = Scored(_rounds.beginning(dense), "supermask", settings.recipe, None)
    yield Planned(TICKET, 1, piece)
    yield from _rounds.controls(settings, 1, piece)
