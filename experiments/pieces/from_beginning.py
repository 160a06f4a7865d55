"""`FromBeginning`: a piece whose masks are found in one training from the initial weights."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import keras_lottery as kl
from experiments.pieces.dense import Dense
from experiments.pieces.piece import Descendant, Piece


@dataclasses.dataclass(frozen=True)
class FromBeginning(Descendant):
    """Trained from the beginning, and so are its controls.

    Args:
        parent: The dense network at its beginning.
        recipe: What is dropped, or which kernels are masked.
    """

    rewind: ClassVar[str] = "start"
    first: ClassVar[int] = 0
    point: ClassVar[None] = None

    parent: Dense
    recipe: kl.Recipe

    @property
    def parents(self) -> tuple[Piece, ...]:
        """The dense network at its beginning."""
        return (self.parent,)

    @property
    def depth(self) -> int:
        """Its masks are found once."""
        return 1

    @property
    def iterations(self) -> int:
        """The number of iterations that it is trained."""
        return self.training.iterations
