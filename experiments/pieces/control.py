"""`Control`: a network as sparse as a ticket that is none, trained."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from experiments.pieces.piece import Beginning, Descendant, Piece
from experiments.pieces.pruned import initial_epoch
from keras_lottery.search import controls

if TYPE_CHECKING:
    from experiments.bench import Bench


@dataclasses.dataclass(frozen=True)
class Control(Descendant):
    """A control of a round of pruning.

    Args:
        parent: The round, of a kind with a `recipe`, a `rewind`, `first` and `point`.
        control: The kind of control: a file of `keras_lottery/search/controls`.
    """

    kind = "control"

    parent: Descendant
    control: str

    @property
    def definition(self) -> dict[str, Any]:
        """The round's name and the kind."""
        return {"parent": self.parent.name, "control": self.control}

    @property
    def parents(self) -> tuple[Piece, ...]:
        """The round, and the rewind point that it starts from."""
        return (self.parent, *self.parent.parents[1:])

    @property
    def first(self) -> int:
        """Drawn anew, a network has had no iterations yet."""
        return 0 if self.control == "reinit" else self.parent.first

    @property
    def iterations(self) -> int:
        """The number of iterations that it is trained."""
        return self.training.iterations - self.first

    def begin(self, bench: Bench) -> Beginning:
        """Sets the control up from the masks of the round."""
        parent = self.parent
        lottery = bench.restore(parent, parent.recipe, parent.point)
        fresh = bench.fresh
        start = controls.Start(self.depth, lottery.masks, lottery.state.point, None, parent.recipe)
        controls.set_up(self.control, lottery, fresh, start, self.seed)
        return Beginning(
            first=self.first,
            initial_epoch=initial_epoch(parent.rewind) if self.first else 0,
            last=self.training.iterations,
            measures={"activations": bench.activations()},
        )

    def search(self) -> dict[str, Any]:
        """The search of the round, and the control."""
        return {**self.parent.search(), "control": self.control}
