"""Wires that move: sparse from the beginning, with drops and growth (SET, RigL)."""

import dataclasses
from collections.abc import Iterator

from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned, _rounds
from experiments.methods._rounds import CONTROLS
from experiments.pieces.rewired import Rewired
from experiments.settings import Settings

STATIC = "static"

USES = {"criterion", "granularity", "rounds", "rate", *CONTROLS, "scored_images", "grow"}


def plan(settings: Settings, experiment: Experiment, seed: int) -> Iterator[Planned]:
    """A network at the sparsity of each round, and beside it one whose random mask stays."""
    dense = _rounds.dense(settings, experiment, seed)
    # Weights grow within each kernel, whatever the preset's scope is.
    recipe = dataclasses.replace(settings.recipe, scope="layerwise")
    yield Planned(DENSE, 0, dense)
    for index in range(1, settings.rounds + 1):
        for variant, grow in ((TICKET, settings.grow), (STATIC, "")):
            piece = Rewired(
                _rounds.beginning(dense),
                recipe,
                1 - (1 - settings.rate) ** index,
                grow,
                100,
                settings.scored_images,
            )
            yield Planned(variant, index, piece)
            if variant == TICKET:
                yield from _rounds.controls(settings, index, piece)
