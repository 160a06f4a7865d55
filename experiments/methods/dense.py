"""The dense network alone."""

from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, Planned, _rounds
from experiments.settings import Settings

USES = frozenset()


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """Nothing is pruned."""
    yield Planned(DENSE, 0, _rounds.dense(settings, experiment, seed))
