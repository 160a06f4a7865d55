"""Makes tensors of arrays, with each sample in memory only once beside its array.

`tf.convert_to_tensor` copies an array twice (measured, 2.21: at its peak it takes twice the bytes),
and a cast before it copies once more. Here samples are written, and cast, into memory that
TensorFlow then takes over as a tensor. The array itself is never shared: its owner may change it.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

# Bytes: what TensorFlow allocates by, and its kernels may count on.
_ALIGNMENT = 64


class Column:
    """An array of samples that is filled part by part, and becomes a tensor.

    Args:
        shape: The shape of all samples that are expected; if more come, all move to twice the room.
        dtype: The dtype of the tensor.

    >>> column = Column((2, 3), "float32")
    >>> for part in np.zeros((2, 3)), np.ones((1, 3)):
    ...     column.append(part)
    >>> tuple(column.take().shape)
    (3, 3)
    """

    def __init__(self, shape: tuple[int, ...], dtype: str):
        self._array = _aligned(shape, dtype)
        self._count = 0

    def append(self, part: np.ndarray) -> None:
        """Add samples, along the first axis."""
        end = self._count + len(part)
        if end > len(self._array):
            larger = _aligned((2 * end, *self._array.shape[1:]), self._array.dtype)
            larger[: self._count] = self._array[: self._count]
            self._array = larger
        self._array[self._count : end] = part
        self._count = end

    def take(self) -> Any:
        """Return all samples as a tensor, and empty the column.

        On a CPU the tensor has the column's memory, on an accelerator a copy.
        """
        array, self._array = self._array[: self._count], self._array[:0]
        self._count = 0
        # NumPy hands over no bfloat16, which is of a kind that it does not know.
        if keras.backend.backend() != "tensorflow" or array.dtype.kind == "V":
            return keras.ops.convert_to_tensor(array)

        import tensorflow as tf

        # On a CPU the identity is the same memory.
        return tf.identity(tf.experimental.dlpack.from_dlpack(array.__dlpack__()))


def dtype_of(array: Any) -> str:
    """Return the dtype to train with: Keras casts floats to `keras.config.floatx()`.

    >>> dtype_of(np.zeros(2, "float64")), dtype_of(np.zeros(2, "uint8"))
    ('float32', 'uint8')
    """
    dtype = keras.backend.standardize_dtype(array.dtype)
    return keras.config.floatx() if keras.backend.is_float_dtype(dtype) else dtype


def tensor(array: Any) -> Any:
    """Make a tensor of an array's `dtype_of`; a tensor of that dtype is returned as it is."""
    if keras.ops.is_tensor(array):
        return keras.ops.cast(array, dtype_of(array))
    # On every backend: JAX, too, would share the array's memory if that happens to be aligned.
    column = Column(array.shape, dtype_of(array))
    column.append(array)
    return column.take()


def _aligned(shape: Sequence[int], dtype: npt.DTypeLike) -> np.ndarray:
    """An array whose memory is not taken before it is written to."""
    kind = np.dtype(dtype)
    nbytes = math.prod(shape) * kind.itemsize
    memory = np.empty(nbytes + _ALIGNMENT, "uint8")
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + nbytes].view(kind).reshape(shape)
