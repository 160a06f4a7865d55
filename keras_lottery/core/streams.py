"""Random streams have names: `stream(seed, "control", "reinit", 3)`.

Streams of different names are independent, so a new place that draws cannot collide with an old
one, and what one place draws does not depend on how much others drew before.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Makes the random generator of a name.

    Args:
        seed: A whole number of 0 or more.
        names: The purpose, and the round, event or kernel: texts and whole numbers.

    Returns:
        A generator: the same draws for the same seed and names, in every process.

    Example:
        >>> bool(stream(0, "rank", 1).random() == stream(0, "rank", 1).random())
        True
        >>> bool(stream(0, "rank", 1).random() == stream(0, "rank", 2).random())
        False
    """
    return np.random.default_rng(seed_of(seed, *names))


def seed_of(seed: int, *names: str | int) -> int:
    """Makes a seed from a seed and names, for code that draws from streams of its own.

    Returns:
        A whole number below 2 ** 63.

    Example:
        >>> seed_of(0, "control", "reinit") == seed_of(0, "control", "random_mask")
        False
    """
    text = "/".join([repr(int(seed)), *map(repr, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
