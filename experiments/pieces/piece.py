"""`Piece`: the definition of a trained network, before or after it is trained."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any, ClassVar

import keras_lottery as kl
from experiments.settings import Training

if TYPE_CHECKING:
    from experiments.bench import Bench


@dataclasses.dataclass(frozen=True)
class Beginning:
    """Where the training of a piece begins and ends, when its model has been brought there.

    Args:
        first: The number of iterations that the weights had already.
        initial_epoch: The epoch whose batches come first.
        last: The iteration to end at.
        measures: What was measured on the way.
        callbacks: Callbacks for the training.
        network: The model that is trained, if it is one around the bench's; its `ticket` is put on
            that afterwards.
    """

    first: int
    initial_epoch: int
    last: int
    measures: dict[str, Any] = dataclasses.field(default_factory=dict)
    callbacks: tuple = ()
    network: Any = None


@dataclasses.dataclass(frozen=True)
class Piece:
    """What a trained network is made of; a subclass is a kind of piece.

    Attributes:
        kind: The name of the kind, with which the piece's name begins.
        keeps_optimizer: Whether a child trains on from the optimizer's state.
        prunes_in_training: Whether masks change while it is trained.
    """

    kind: ClassVar[str]
    keeps_optimizer: ClassVar[bool] = False
    prunes_in_training: ClassVar[bool] = False

    @functools.cached_property
    def name(self) -> str:
        """The name: equal for equal definitions, in every process."""
        text = json.dumps(self.definition, sort_keys=True, separators=(",", ":"))
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def definition(self) -> dict[str, Any]:
        """The parents' names and what was done, as JSON; a setting at its default is left out."""
        raise NotImplementedError

    @property
    def parents(self) -> tuple[Piece, ...]:
        """The pieces that have to be there before."""
        return ()

    @property
    def dense(self) -> Piece:
        """The dense network that it comes from, or itself."""
        raise NotImplementedError

    @property
    def depth(self) -> int:
        """The number of prunings that it has had."""
        raise NotImplementedError

    @property
    def iterations(self) -> int:
        """The number of iterations that it is trained."""
        raise NotImplementedError

    def begin(self, bench: Bench) -> Beginning:
        """Bring the model of a bench to where the training begins."""
        raise NotImplementedError

    def search(self) -> dict[str, Any]:
        """What its ticket says of the search."""
        return {}


class Descendant(Piece):
    """A piece that comes from others: training, data and seed are those of its dense network."""

    @property
    def dense(self) -> Piece:
        """The dense network that it comes from."""
        return self.parents[0].dense

    @property
    def training(self) -> Training:
        """How it is trained."""
        return self.dense.training

    @property
    def seed(self) -> int:
        """The seed of the initial weights, the order of the batches and all random choices."""
        return self.dense.seed

    @property
    def depth(self) -> int:
        """The number of prunings that it has had."""
        return self.parents[0].depth


def measures_with_data(recipe: kl.Recipe) -> bool:
    """Whether the recipe's criterion is a scorer that needs data.

    >>> measures_with_data(kl.Recipe("snip")), measures_with_data(kl.Recipe("synflow"))
    (True, False)
    """
    criterion = kl.scorers.resolve(recipe.criterion)
    return kl.scorers.is_scorer(criterion) and kl.scorers.needs_data(criterion)


def as_json(recipe: kl.Recipe) -> dict[str, Any]:
    """A recipe without what is at its default, so that a new setting changes no old name.

    >>> as_json(kl.Recipe(scope="globally"))
    {'criterion': 'large_final', 'scope': 'globally'}
    """
    defaults = kl.Recipe().to_json()
    return {
        name: value
        for name, value in recipe.to_json().items()
        if value != defaults[name] or name == "criterion"
    }
