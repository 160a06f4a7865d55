"""Iterative pruning: train, prune a little, rewind, repeat (Frankle & Carbin 2019, section 2)."""

from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned
from experiments.methods._rounds import ROUNDS, controls, dense, pruned
from experiments.settings import Settings

USES = ROUNDS


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """Each round prunes the trained network of the round before."""
    piece = dense(settings, experiment, seed)
    yield Planned(DENSE, 0, piece)
    for index in range(1, settings.rounds + 1):
        piece = pruned(settings, experiment, piece, lambda rate: rate)
        yield Planned(TICKET, index, piece)
        yield from controls(settings, index, piece)
