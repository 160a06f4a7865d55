"""Pairs the variables of two builds of one architecture, by names and shapes.

Keras gives numbers to unnamed layers, and they depend on how many layers were built before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]


def paired(stored: Shapes, others: Shapes, owner: str) -> dict[str, str]:
    """Pairs stored variables with those of another build of their architecture.

    Variables are paired by name where both builds have the same names and shapes. Else they are
    paired in order, by names without the numbers that Keras gives.

    Args:
        stored: A dict from name to shape, in the order of the layers.
        others: The same for the other build.
        owner: The owner of the others, for the error message.

    Returns:
        A dict from stored name to the other's name.

    Raises:
        ValueError: If the architectures differ, naming the first difference.

    >>> paired({"dense/kernel": (4, 2)}, {"dense_7/kernel": (4, 2)}, "the model")
    {'dense/kernel': 'dense_7/kernel'}
    """
    stored = {name: tuple(shape) for name, shape in stored.items()}
    others = {name: tuple(shape) for name, shape in others.items()}
    if stored == others:
        return {name: name for name in stored}
    for (name, shape), (other, size) in zip(stored.items(), others.items(), strict=False):
        if _unnumbered(name) != _unnumbered(other) or shape != size:
            raise ValueError(
                f"The architectures differ: {name!r} of shape {shape} is stored where {owner} has "
                f"{other!r} of shape {size}."
            )
    if len(stored) != len(others):
        raise ValueError(
            f"The architectures differ: {len(stored)} variables are stored and {owner} has "
            f"{len(others)}."
        )
    return dict(zip(stored, others, strict=True))


def _unnumbered(name: str) -> str:
    return re.sub(r"(_\d+)?(#\d+)?(?=/|$)", "", name)
