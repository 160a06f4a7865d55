"""NumPy copies of variables."""

import keras
import numpy as np


def array(variable: keras.Variable) -> np.ndarray:
    """Return a copy of a variable's value as a NumPy array."""
    return np.array(keras.ops.convert_to_numpy(variable))
