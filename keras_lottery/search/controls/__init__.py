"""Controls: models as sparse as a round's ticket, to compare the ticket with. Each is a file.

The file `reinit.py` defines `reinit(control, fresh, start, seed)`: it sets up the `Lottery` of a
model of the same architecture, from the model's own snapshot `fresh` or from where the round
starts. Adding a file adds a control.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable

import keras

from keras_lottery.core.streams import seed_of
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import Snapshot
from keras_lottery.search.controls._start import Start

__all__ = ["Controls", "Start", "names", "set_up"]


def names() -> list[str]:
    """Return the names of the controls: the files of this folder.

    >>> "reinit" in names()
    True
    """
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_"))


class Controls:
    """Makes the controls of a search: one model of each kind, so that Keras compiles it once.

    Args:
        make: A function that makes the `Lottery` of a new model.
    """

    def __init__(self, make: Callable[[], Lottery]):
        self._make = make
        self._made: dict[str, tuple[Lottery, Snapshot]] = {}

    def at(self, start: Start) -> dict[str, Callable[[int], keras.Model]]:
        """Return the controls of a round, also for later, when the search is in another round.

        Args:
            start: Where the round starts.

        Returns:
            A dict from the name of a control to a function of a seed that makes its model.
        """
        return {kind: functools.partial(self._model, kind, start) for kind in names()}

    def _model(self, kind: str, start: Start, seed: int) -> keras.Model:
        if kind not in self._made:
            control = self._make()
            self._made[kind] = control, control.state.point
        control, fresh = self._made[kind]
        set_up(kind, control, fresh, start, seed)
        return control.model


def set_up(kind: str, control: Lottery, fresh: Snapshot, start: Start, seed: int) -> None:
    """Make the model of a `Lottery` a control of a round.

    Args:
        kind: One of `names()`.
        control: The `Lottery` of a model of the same architecture.
        fresh: That model's own beginning.
        start: Where the round starts.
        seed: Seed of the control's random choices.
    """
    one = getattr(importlib.import_module(f"{__name__}.{kind}"), kind)
    # A stream of its own: the search may have the same seed, and other controls too.
    one(control, fresh, start, seed_of(seed, "control", kind, start.index))
