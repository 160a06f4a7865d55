"""Methods: ways to look for a ticket. Each is a file with a function `plan(settings, ...)`.

`plan(settings, experiment, seed)` yields the networks to train of one seed, each after those that
it comes from. `USES` names the settings of a search that the method goes by; any other one that is
given is refused. Adding a file adds a method.
"""

import dataclasses
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from experiments.pieces.piece import Piece

DENSE = "dense"
TICKET = "ticket"


@dataclasses.dataclass(frozen=True)
class Planned:
    """A network of a plan.

    Args:
        variant: What it is there: `DENSE`, `TICKET`, the name of a control, or a method.
        index: The round; 0 is the dense network.
        piece: The piece.
    """

    variant: str
    index: int
    piece: Piece


def names() -> list[str]:
    """Return the names of the methods: the files of this folder that do not begin with `_`.

    >>> "iterative" in names()
    True
    """
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_"))


def get(name: str) -> ModuleType:
    """Return the module of a method.

    Raises:
        ValueError: If there is no such method, listing those there are.
    """
    if name not in names():
        raise ValueError(f"No method {name!r}; there are {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}")


def plan(settings: Any, experiment: Any) -> list[Planned]:
    """Return the networks of all seeds.

    Args:
        settings: `settings.Settings`.
        experiment: `experiment.Experiment`.
    """
    method = get(settings.method)
    return [
        planned for seed in settings.seeds for planned in method.plan(settings, experiment, seed)
    ]
