"""Which data it was, in a few letters."""

import hashlib
from typing import Any

import keras
import numpy as np

from keras_lottery.scorers import _loss


def fingerprint(data: Any) -> str | None:
    """A digest of the data that a criterion measured with, for a ticket to say.

    Args:
        data: As a door takes it, or `None`.

    Returns:
        The first 16 hexadecimal digits of a SHA-256 over the shapes, dtypes and values of all
        arrays; `None` for no data.

    >>> fingerprint((np.zeros((2, 3), "float32"), np.zeros(2, "int32")))
    'd2d796f7c6143c0b'
    """
    if data is None:
        return None
    digest = hashlib.sha256()
    for batch in _loss.batches(data):
        for array in map(np.asarray, keras.tree.flatten(batch)):
            digest.update(f"{array.shape}{array.dtype.name}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
