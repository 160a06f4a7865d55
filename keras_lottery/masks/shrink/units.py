"""Units: what shrinking removes, and the values they have along the last axis of a tensor.

A layer such as Dense makes as many units as it has outputs. Most layers pass them on: what they
compute at an index of the last axis belongs to the same unit as their input there. An addition ties
the units of its inputs together, index by index: they can only go together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Keeps = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Channels:
    """The last axis of a tensor.

    Args:
        units: The unit at each index: an array of int. One unit may be at several, as after
            Flatten.
        constant: The value at each index that is the same for every input of the model and at every
            position; NaN where there is none.
        bordered: Whether zeros are around the positions where the constants are, as after
            ZeroPadding2D.
    """

    units: np.ndarray
    constant: np.ndarray
    bordered: bool = False

    @property
    def is_constant(self) -> np.ndarray:
        """Where there is such a value."""
        return np.isfinite(self.constant)

    @property
    def at_borders(self) -> np.ndarray:
        """The units whose constants are not at the borders."""
        return self.units[self.is_constant & (self.constant != 0) & self.bordered]

    def everywhere(self) -> Channels:
        """The same with those constants alone that are at the borders, too."""
        if not self.bordered:
            return self
        return Channels(self.units, np.where(self.constant == 0, 0, np.nan))

    def __len__(self) -> int:
        return len(self.units)


class Units:
    """All units of a model: which are tied together, and which must stay.

    >>> units = Units()
    >>> left, right = units.new(2), units.new(2)
    >>> units.tie(left, right)
    >>> units.pin(right[:1])
    >>> keeps = units.kept_by_pins()
    >>> keeps(left)
    array([ True, False])
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._pinned: set[int] = set()

    def new(self, count: int) -> np.ndarray:
        """Make units of a layer, tied to no others."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def tie(self, left: np.ndarray, right: np.ndarray) -> None:
        """Say that units can only be removed together, index by index."""
        for one, other in zip(left, right, strict=True):
            self._parents[self._root(int(one))] = self._root(int(other))

    def pin(self, units: np.ndarray) -> None:
        """Say that units must stay."""
        self._pinned.update(map(int, units))

    def kept_by_pins(self) -> Kept:
        """Begin with the units that must stay, when all is made and tied."""
        roots = np.array([self._root(unit) for unit in range(len(self._parents))], int)
        kept = Kept(roots)
        kept.add(np.array(sorted(self._pinned), int))
        return kept

    def _root(self, unit: int) -> int:
        while self._parents[unit] != unit:
            self._parents[unit] = self._parents[self._parents[unit]]
            unit = self._parents[unit]
        return unit


class Kept:
    """The units that stay, with all that they are tied to.

    Args:
        roots: For each unit, the unit that stands for all that it is tied to.
    """

    def __init__(self, roots: np.ndarray):
        self._roots = roots
        self._kept = np.zeros(len(roots), bool)

    def __call__(self, units: np.ndarray) -> np.ndarray:
        """Where units stay: a boolean array of their shape."""
        return self._kept[self._roots[units]]

    def add(self, units: np.ndarray) -> None:
        """Let these units stay, too."""
        self._kept[self._roots[units]] = True

    def count(self) -> int:
        """How many stay, those that are tied together counted once."""
        return int(np.count_nonzero(self._kept))
