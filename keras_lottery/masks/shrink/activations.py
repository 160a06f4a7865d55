"""Which activations act on each unit alone, and what they make of constants."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

# Each value of the result depends on the value at the same place alone.
_BY_UNIT = frozenset(
    getattr(keras.activations, name)
    for name in (
        "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear "
        "log_sigmoid mish relu relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus "
        "sparse_sigmoid squareplus tanh tanh_shrink threshold"
    ).split()
)

# Each depends on the values of all units, at one position.
_OVER_UNITS = frozenset(
    getattr(keras.activations, name) for name in ("log_softmax", "softmax", "sparsemax")
)


def acts_by_unit(activation: Callable[[Any], Any] | None) -> bool:
    """Return whether an activation is known to act on each unit alone, unlike softmax.

    >>> acts_by_unit(keras.activations.relu), acts_by_unit(keras.activations.softmax)
    (True, False)
    """
    return activation is None or activation in _BY_UNIT


def acts_over_units(activation: Callable[[Any], Any] | None) -> bool:
    """Return whether an activation is known to act on all units of a position, as softmax."""
    return activation in _OVER_UNITS


def reason(activation: Any) -> str:
    """Why the units before an activation must stay, to be read after "because "."""
    name = getattr(activation, "__name__", type(activation).__name__)
    return f"its activation {name!r} may act on several units together"


def at(
    function: Callable[[Any], Any], constants: list[np.ndarray], rank: int, dtype: str
) -> np.ndarray:
    """What a function computes from the constants of tensors.

    Args:
        function: An activation or the `call` of a layer, which acts on each unit alone, or on all
            if all are constant. It takes a tensor, or a list of several.
        constants: For each tensor the constants by index, NaN where there are none.
        rank: The rank of the tensors.
        dtype: The type that the layer computes in.

    Returns:
        The constants after it: NaN where there are none, or the result differs by position.

    >>> at(keras.activations.relu, [np.array([-1.0, np.nan, 2.0])], 2, "float32")
    array([ 0., nan,  2.])
    """
    known: np.ndarray = np.all(np.isfinite(constants), axis=0)
    shape = (1,) * (rank - 1) + known.shape
    given = [
        keras.ops.cast(np.where(known, constant, 0).reshape(shape), dtype) for constant in constants
    ]
    result = function(given[0] if len(given) == 1 else given)
    by_position = keras.ops.convert_to_numpy(result)
    by_position = by_position.reshape(-1, known.size).astype(np.float64)
    same = (by_position == by_position[0]).all(axis=0) & np.isfinite(by_position[0])
    return np.where(known & same, by_position[0], np.nan)
