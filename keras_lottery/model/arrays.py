"""NumPy copies of variables."""

import keras
import numpy as np


def array(variable: keras.Variable) -> np.ndarray:
    """A copy of a variable's value."""
    return np.array(keras.ops.convert_to_numpy(variable))
