"""`Start` is the state that a round of a search, and its controls, start from."""

import dataclasses

import numpy as np

from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import Snapshot


@dataclasses.dataclass(frozen=True)
class Start:
    """The state that a round starts from.

    Args:
        index: The round.
        masks: The masks of the ticket, in the order of the kernels.
        point: The rewind point of the search.
        action: The action on survivors at the last rewind, if it was not the recipe's
            `restart_from`.
        recipe: The search's recipe.
    """

    index: int
    masks: dict[str, np.ndarray]
    point: Snapshot
    action: str | None
    recipe: Recipe

    def masks_of(self, control: Lottery) -> dict[str, np.ndarray]:
        """The ticket's masks by the control's names: Keras may have numbered its layers anew."""
        return dict(zip(control.names, self.masks.values(), strict=True))

    def put(self, control: Lottery, seed: int) -> None:
        """Give a control the values that the ticket starts from, without masks."""
        control.begin_again(self.point.moved_to(control.model), seed)
