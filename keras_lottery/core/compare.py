"""Combining and comparing mask dicts: `(first, second) -> masks`, or a `Comparison`.

A mask dict maps kernel names to boolean arrays, True = alive. Both dicts must hold the same
kernels in the same shapes. The names come back in the order of `first`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class MaskMismatchError(ValueError):
    """Two mask dicts do not describe the same kernels."""


def union(first: Mapping[str, Mask], second: Mapping[str, Mask]) -> dict[str, Mask]:
    """Keep what either ticket keeps.

    Args:
        first: Mask dict A.
        second: Mask dict B, of the same kernels and shapes.

    Returns:
        A new mask dict.

    Raises:
        MaskMismatchError: If a kernel is missing in one, or shapes differ, or a mask is not bool.

    >>> union({"a": np.array([True, False])}, {"a": np.array([False, False])})
    {'a': array([ True, False])}
    """
    _check_same_kernels(first, second)
    return {name: first[name] | second[name] for name in first}


def intersection(first: Mapping[str, Mask], second: Mapping[str, Mask]) -> dict[str, Mask]:
    """Keep what both tickets keep.

    Args:
        first: Mask dict A.
        second: Mask dict B, of the same kernels and shapes.

    Returns:
        A new mask dict.

    Raises:
        MaskMismatchError: If a kernel is missing in one, or shapes differ, or a mask is not bool.

    >>> intersection({"a": np.array([True, True])}, {"a": np.array([True, False])})
    {'a': array([ True, False])}
    """
    _check_same_kernels(first, second)
    return {name: first[name] & second[name] for name in first}


def difference(first: Mapping[str, Mask], second: Mapping[str, Mask]) -> dict[str, Mask]:
    """Keep what the first ticket keeps and the second does not.

    Args:
        first: Mask dict A.
        second: Mask dict B, of the same kernels and shapes.

    Returns:
        A new mask dict.

    Raises:
        MaskMismatchError: If a kernel is missing in one, or shapes differ, or a mask is not bool.

    >>> difference({"a": np.array([True, True])}, {"a": np.array([True, False])})
    {'a': array([False,  True])}
    """
    _check_same_kernels(first, second)
    return {name: first[name] & ~second[name] for name in first}


@dataclass(frozen=True)
class Overlap:
    """The overlap of two masks, and how much two random masks would share.

    Attributes:
        name: The kernel's name, or "overall".
        size: Weights in the kernel, N.
        first: Weights that the first mask keeps, |A|.
        second: Weights that the second mask keeps, |B|.
        both: Weights that both masks keep, |A & B|.
        chance: Expected |A & B| of two independent random masks of these sizes: |A| |B| / N.
        variance: Variance of |A & B| under the same chance (hypergeometric).
    """

    name: str
    size: int
    first: int
    second: int
    both: int
    chance: float
    variance: float

    @property
    def either(self) -> int:
        """Weights at least one mask keeps, |A | B|."""
        return self.first + self.second - self.both

    @property
    def jaccard(self) -> float:
        """|A & B| / |A | B|; 1 when both masks are empty, for then they are equal."""
        return self.both / self.either if self.either else 1.0

    @property
    def containment(self) -> float:
        """|A & B| / min(|A|, |B|); 1 when the smaller is empty, for then it is contained."""
        smaller = min(self.first, self.second)
        return self.both / smaller if smaller else 1.0

    @property
    def z(self) -> float:
        """Standard deviations above chance; 0 where chance leaves no choice."""
        return (self.both - self.chance) / math.sqrt(self.variance) if self.variance else 0.0


@dataclass(frozen=True)
class Comparison:
    """Two mask dicts compared, per kernel and overall; `str()` is a table.

    Attributes:
        kernels: One `Overlap` per kernel, in the first dict's order.
        overall: The kernels' counts summed. Its chance level draws every kernel by itself, with
            its own counts, so that equal layerwise densities alone do not look like agreement.
    """

    kernels: tuple[Overlap, ...]
    overall: Overlap

    def __str__(self) -> str:
        width = max(len(line.name) for line in (*self.kernels, self.overall))
        table = [
            f"{'kernel':<{width}}  {'weights':>10}  {'first':>9}  {'second':>9}  {'both':>9}"
            f"  {'either':>9}  {'jaccard':>7}  {'of min':>6}  {'chance':>11}  {'z':>8}"
        ]
        table += [
            f"{line.name:<{width}}  {line.size:>10,}  {line.first:>9,}  {line.second:>9,}"
            f"  {line.both:>9,}  {line.either:>9,}  {line.jaccard:>7.3f}"
            f"  {line.containment:>6.3f}  {line.chance:>11,.1f}  {line.z:>8.1f}"
            for line in (*self.kernels, self.overall)
        ]
        return "\n".join(table)


def compare(first: Mapping[str, Mask], second: Mapping[str, Mask]) -> Comparison:
    """Compare two mask dicts with each other and with chance.

    Args:
        first: Mask dict A.
        second: Mask dict B, of the same kernels and shapes.

    Returns:
        A `Comparison`.

    Raises:
        MaskMismatchError: If a kernel is missing in one, or shapes differ, or a mask is not bool.

    Source: the chance level is the mean of the hypergeometric distribution.

    >>> line = compare({"a": np.array([1, 1, 0, 0], bool)}, {"a": np.array([1, 1, 1, 0], bool)})
    >>> line.overall.both, line.overall.chance, line.overall.jaccard
    (2, 1.5, 0.6666666666666666)
    """
    _check_same_kernels(first, second)
    kernels = tuple(_overlap(name, first[name], second[name]) for name in first)
    overall = Overlap(
        name="overall",
        size=sum(line.size for line in kernels),
        first=sum(line.first for line in kernels),
        second=sum(line.second for line in kernels),
        both=sum(line.both for line in kernels),
        chance=math.fsum(line.chance for line in kernels),
        variance=math.fsum(line.variance for line in kernels),
    )
    return Comparison(kernels, overall)


@dataclass(frozen=True)
class SignAgreement:
    """How many of the weights that two tickets keep have the same sign.

    Attributes:
        name: The kernel's name, or "overall".
        both: Weights both masks keep.
        alike: Those of them whose values have the same sign, where 0 has a sign of its own.
    """

    name: str
    both: int
    alike: int

    @property
    def share(self) -> float:
        """`alike / both`; chance would give a half. 1 if there are none."""
        return self.alike / self.both if self.both else 1.0

    @property
    def z(self) -> float:
        """Standard deviations above the half that signs at random would share."""
        return (self.alike - self.both / 2) / math.sqrt(self.both / 4) if self.both else 0.0


def compare_signs(
    first: Mapping[str, Mask],
    second: Mapping[str, Mask],
    values: Mapping[str, npt.NDArray[Any]],
    others: Mapping[str, npt.NDArray[Any]],
) -> tuple[SignAgreement, ...]:
    """Compare the signs of the weights that two tickets both keep.

    Args:
        first: Mask dict A.
        second: Mask dict B, of the same kernels and shapes.
        values: The values that come with A, by name.
        others: Those that come with B.

    Returns:
        A `SignAgreement` of each kernel, in the first dict's order, and the last of all together.

    Raises:
        MaskMismatchError: As from `compare`.

    >>> all_alive = {"a": np.array([True, True])}
    >>> values = {"a": np.array([1.0, -2.0])}
    >>> compare_signs(all_alive, all_alive, values, {"a": np.array([3.0, 4.0])})[-1].share
    0.5
    """
    _check_same_kernels(first, second)
    lines = []
    for name in first:
        both = first[name] & second[name]
        alike = np.sign(values[name][both]) == np.sign(others[name][both])
        lines.append(SignAgreement(name, int(both.sum()), int(np.count_nonzero(alike))))
    overall = SignAgreement("overall", sum(o.both for o in lines), sum(o.alike for o in lines))
    return (*lines, overall)


def _overlap(name: str, first: Mask, second: Mask) -> Overlap:
    size = first.size
    a, b = int(np.count_nonzero(first)), int(np.count_nonzero(second))
    both = int(np.count_nonzero(first & second))
    chance = a * b / size if size else 0.0
    # Drawing b of N weights without replacement, a of which are marked.
    variance = chance * (size - a) * (size - b) / (size * (size - 1)) if size > 1 else 0.0
    return Overlap(name, size, a, b, both, chance, variance)


def _check_same_kernels(first: Mapping[str, Mask], second: Mapping[str, Mask]) -> None:
    if missing := sorted(first.keys() ^ second.keys()):
        has_it = "first" if missing[0] in first else "second"
        raise MaskMismatchError(
            f"Only the {has_it} ticket has a mask for {missing[0]!r} "
            f"({len(missing)} names differ); both must come from the same architecture."
        )
    for name, mask in first.items():
        if mask.shape != second[name].shape:
            raise MaskMismatchError(
                f"The masks of {name!r} have shapes {mask.shape} and {second[name].shape}; "
                "both must come from the same architecture."
            )
        for masks in (first, second):
            if masks[name].dtype != np.bool_:
                raise MaskMismatchError(
                    f"The mask of {name!r} has dtype {masks[name].dtype}; masks are bool."
                )
