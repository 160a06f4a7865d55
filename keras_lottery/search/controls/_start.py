"""Where a round of a search starts, and its controls with it."""

import dataclasses

import numpy as np

from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import Snapshot


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a round starts.

    Args:
        index: The round.
        masks: The masks of the ticket, in the order of the kernels.
        point: The rewind point of the search.
        action: What survivors became at the last rewind, if it was not the recipe's
            `restart_from`.
        recipe: The search's recipe.
    """

    index: int
    masks: dict[str, np.ndarray]
    point: Snapshot
    action: str | None
    recipe: Recipe

    def masks_of(self, control: Lottery) -> dict[str, np.ndarray]:
        """The ticket's masks by the names of the control's kernels, where Keras may have numbered
        the layers anew."""
        return dict(zip(control.names, self.masks.values(), strict=True))

    def put(self, control: Lottery, seed: int) -> None:
        """Put a control where the ticket starts, but dense: it may have drawn other values."""
        control.begin_again(self.point.moved_to(control.model), seed)
