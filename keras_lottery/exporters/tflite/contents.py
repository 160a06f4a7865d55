"""Counts what the constants of a file hold; a buffer that several tensors share is read once."""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import flatbuffer, levels

_INTEGERS = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16)


@dataclass(frozen=True)
class Content:
    """What one tensor stores.

    Attributes:
        stored: How many values.
        alive: How many of them are not zero.
        value_bits: The entropy of those that are not zero; of floats, their full width.
    """

    stored: int
    alive: int
    value_bits: float


class Contents:
    """Counts values in the constants of a file.

    Args:
        file: What `flatbuffer.read` returned.
    """

    def __init__(self, file: schema.ModelT):
        self._file = file
        self._floats: dict[tuple[int, int], Content] = {}
        self._integers: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._counted: dict[tuple[int, int, int, int], Content] = {}

    def count(self, tensor: schema.TensorT) -> Content:
        """Counts what a constant stores.

        Raises:
            FlatbufferError: Its type has no numbers, or its bytes do not fit its type or shape.
        """
        key = tensor.buffer, tensor.type
        if tensor.type not in flatbuffer.PACKED and tensor.type not in _INTEGERS:
            if key not in self._floats:
                self._floats[key] = self._count_floats(tensor)
            return self._floats[key]
        # Tensors of the same integers may differ in the one that stands for zero, and in what fills
        # their last byte up.
        alike = *key, _zero(tensor), levels.size(tensor)
        if alike not in self._counted:
            if key not in self._integers:
                self._integers[key] = self._count_integers(tensor)
            values, counts = self._integers[key]
            if tensor.type in flatbuffer.PACKED:
                counts = self._without_padding(tensor, values, counts)
            self._counted[alike] = _content(values, counts, _zero(tensor))
        return self._counted[alike]

    def _count_floats(self, tensor: schema.TensorT) -> Content:
        values = flatbuffer.stored(self._file, tensor)
        alive = int(np.count_nonzero(values))
        return Content(values.size, alive, 8.0 * alive * values.itemsize)

    def _count_integers(self, tensor: schema.TensorT) -> tuple[np.ndarray, np.ndarray]:
        """The integers that a constant may hold, and how often it holds each."""
        if tensor.type in flatbuffer.PACKED:
            # Count the bytes, and then what each byte holds.
            per_byte = np.bincount(flatbuffer.buffer_bytes(self._file, tensor), minlength=256)
            held = flatbuffer.unpacked(np.arange(256, dtype=np.uint8), tensor.type)
            values = np.unique(held)
            return values, np.stack([(held == v).sum(axis=1) @ per_byte for v in values])
        values = flatbuffer.stored(self._file, tensor)
        if values.itemsize == 1:
            counts = np.bincount(values.view(np.uint8), minlength=256)
            return np.arange(256, dtype=np.uint8).view(values.dtype), counts
        return np.unique(values, return_counts=True)

    def _without_padding(
        self, tensor: schema.TensorT, values: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """The counts without the integers that only fill the last byte up."""
        data, size = flatbuffer.buffer_bytes(self._file, tensor), levels.size(tensor)
        if data.size != flatbuffer.dense_bytes(tensor):
            raise FlatbufferError(f"{levels.name(tensor)!r} has {data.size} bytes for {size}.")
        last = flatbuffer.unpacked(data[-1:], tensor.type).reshape(-1)
        padding = last[last.size - (int(counts.sum()) - size) :]
        return counts - (values[:, None] == padding).sum(axis=1)


def entropy_bits(counts: np.ndarray) -> float:
    """Bits to write down a sequence in which each symbol occurs as often as `counts` says."""
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum()) if counts.size else 0.0


def _content(values: np.ndarray, counts: np.ndarray, zero: int) -> Content:
    alive = counts[values != zero]
    return Content(int(counts.sum()), int(alive.sum()), entropy_bits(alive))


def _zero(tensor: schema.TensorT) -> int:
    """The integer that stands for zero; always 0 in a sparse tensor."""
    points = None if tensor.quantization is None else tensor.quantization.zeroPoint
    if tensor.sparsity is not None or points is None or len(points) != 1:
        return 0
    return int(points[0])
