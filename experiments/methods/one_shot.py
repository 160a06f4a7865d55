"""One-shot pruning: from the dense network to every round's sparsity at once."""

from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned
from experiments.methods._rounds import ROUNDS, controls, dense, pruned
from experiments.settings import Settings

USES = ROUNDS


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """Every round prunes the trained dense network, as much as so many rounds would."""
    parent = dense(settings, experiment, seed)
    yield Planned(DENSE, 0, parent)
    for index in range(1, settings.rounds + 1):
        piece = pruned(
            settings, experiment, parent, lambda rate, times=index: 1 - (1 - rate) ** times
        )
        yield Planned(TICKET, index, piece)
        yield from controls(settings, index, piece)
