"""NumPy copies of variables."""

from collections.abc import Mapping

import keras
import numpy as np


def array(variable: keras.Variable) -> np.ndarray:
    """Return a copy of a variable's value as a NumPy array."""
    return np.array(keras.ops.convert_to_numpy(variable))


def read_only(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Views of named arrays that cannot be written to."""
    views = {name: array.view() for name, array in arrays.items()}
    for view in views.values():
        view.flags.writeable = False
    return views
