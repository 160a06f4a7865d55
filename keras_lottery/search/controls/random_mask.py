"""The ticket's initial values under a random mask with the same counts in each kernel."""

import dataclasses
import re

import numpy as np

from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import Snapshot
from keras_lottery.search.controls._start import Start


def random_mask(control: Lottery, fresh: Snapshot, start: Start, seed: int) -> None:
    """Prunes as many weights of each kernel as the ticket has lost, at random.

    It prunes at the search's granularity: in blocks that do not divide their axis the counts may
    differ a little, as the last ones are smaller.
    """
    start.put(control, seed)
    sparsities = {
        f"^{re.escape(name)}$": 1 - np.count_nonzero(mask) / mask.size
        for name, mask in start.masks_of(control).items()
    }
    control.prune(0.0, overrides=sparsities, recipe=_at_random(start.recipe))
    control.rewind(start.action)


def _at_random(recipe: Recipe) -> Recipe:
    """The same recipe, but for what ranks weights."""
    otherwise = {
        pattern: dataclasses.replace(one, criterion="random") for pattern, one in recipe.otherwise
    }
    return dataclasses.replace(recipe, criterion="random", otherwise=otherwise)
