"""What the constants of a file hold, each buffer looked at once however many tensors share it."""

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
        value_bits: The entropy of those; for floats their full width.
    """

    stored: int
    alive: int
    value_bits: float


class Contents:
    """Counts values in the constants of a model.

    Args:
        model: What `flatbuffer.read` returned.
    """

    def __init__(self, model: schema.ModelT):
        self._model = model
        self._counted = {}

    def of(self, tensor: schema.TensorT) -> Content:
        """What a constant stores.

        Raises:
            FlatbufferError: Its type has no numbers, or its bytes do not fit its type or shape.
        """
        key = tensor.buffer, tensor.type
        if key not in self._counted:
            self._counted[key] = self._count(tensor)
        counted = self._counted[key]
        if tensor.type not in flatbuffer.PACKED and tensor.type not in _INTEGERS:
            return counted
        values, counts = counted
        if tensor.type in flatbuffer.PACKED:
            counts = self._without_padding(tensor, counts)
        return _content(values, counts, _zero(tensor))

    def _count(self, tensor):
        """A `Content`; for integers, whose zero may be another, their values and counts."""
        if tensor.type in flatbuffer.PACKED:
            # Counted by the byte, and then what each byte holds.
            per_byte = np.bincount(_bytes(self._model, tensor), minlength=256)
            held = flatbuffer.unpacked(np.arange(256, dtype=np.uint8), tensor.type)
            values = np.unique(held)
            return values, np.stack([(held == v).sum(axis=1) @ per_byte for v in values])
        values = flatbuffer.stored(self._model, tensor)
        if tensor.type in _INTEGERS:
            if values.itemsize == 1:
                counts = np.bincount(values.view(np.uint8), minlength=256)
                return np.arange(256, dtype=np.uint8).view(values.dtype), counts
            return np.unique(values, return_counts=True)
        alive = int(np.count_nonzero(values))
        return Content(values.size, alive, 8.0 * alive * values.itemsize)

    def _without_padding(self, tensor, counts):
        """Without what fills the last byte up."""
        data, size = _bytes(self._model, tensor), levels.size(tensor)
        if data.size != flatbuffer.dense_bytes(tensor):
            raise FlatbufferError(f"{levels.title(tensor)!r} has {data.size} bytes for {size}.")
        last = flatbuffer.unpacked(data[-1:], tensor.type).reshape(-1)
        padding = last[last.size - (int(counts.sum()) - size) :]
        values = self._counted[tensor.buffer, tensor.type][0]
        return counts - (values[:, None] == padding).sum(axis=1)


def entropy_bits(counts: np.ndarray) -> float:
    """Bits to write down a sequence in which each symbol occurs as often as `counts` says."""
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum()) if counts.size else 0.0


def _content(values, counts, zero):
    alive = counts[values != zero]
    return Content(int(counts.sum()), int(alive.sum()), entropy_bits(alive))


def _zero(tensor):
    """The integer that stands for zero; the values of a sparse tensor are stored around none."""
    points = None if tensor.quantization is None else tensor.quantization.zeroPoint
    return points[0] if tensor.sparsity is None and points is not None and len(points) == 1 else 0


def _bytes(model, tensor):
    data = model.buffers[tensor.buffer].data
    return np.zeros(0, np.uint8) if data is None else np.asarray(data, np.uint8)
