"""Pruning at initialisation, before any training: SNIP, GraSP, SynFlow, or any criterion."""

from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned, _rounds
from experiments.methods._rounds import ROUNDS
from experiments.settings import Settings

# SynFlow comes to a sparsity in many small prunings (Tanaka et al. 2020, algorithm 1).
_PRUNINGS = {"synflow": 100}

USES = ROUNDS - {"rewind"}


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """Every round prunes the initial weights to its sparsity, and trains what is left."""
    dense = _rounds.dense(settings, experiment, seed)
    yield Planned(DENSE, 0, dense)
    prunings = _PRUNINGS.get(str(settings.recipe.criterion), 1)
    for index in range(1, settings.rounds + 1):
        piece = _rounds.pruned(
            settings,
            experiment,
            _rounds.beginning(dense),
            lambda rate, times=index: 1 - (1 - rate) ** times,
            prunings,
        )
        yield Planned(TICKET, index, piece)
        yield from _rounds.controls(settings, index, piece)
