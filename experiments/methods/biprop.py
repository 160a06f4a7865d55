"""biprop: binary weights (Diffenderfer & Kailkhura 2021)."""

from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import Planned
from experiments.methods._scored import SCORED, sparsities
from experiments.settings import Settings

USES = SCORED


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """A network at the sparsity of each round, and its controls."""
    return sparsities("biprop", settings, experiment, seed)
