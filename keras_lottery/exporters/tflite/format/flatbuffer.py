"""Reads and writes `.tflite` files as the schema's objects, and decodes their constants.

In the whole exporter a `model` is a `keras.Model`, `data` are the bytes of a `.tflite` file, and a
`file` is what `read` makes of them. A file may come from anywhere: `read` returns one whose indices
are all in range, or raises `FlatbufferError`. Its time and memory are bounded by the file's length.
"""

import copy
import math
from collections.abc import Iterator

import flatbuffers
import ml_dtypes
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import levels, unpacking

IDENTIFIER = b"TFL3"

# The runtimes map constants straight from the file and load them with SIMD instructions.
BUFFER_ALIGNMENT = 16

# The largest dense tensor that fits into a flatbuffer at all.
MAX_DENSE_BYTES = 2**31

# More than any memory holds, and few enough to calculate with.
MOST_VALUES = 2**48
MOST_AXES = 32

_DTYPES = {
    schema.TensorType.FLOAT32: "<f4",
    schema.TensorType.FLOAT16: "<f2",
    schema.TensorType.FLOAT64: "<f8",
    schema.TensorType.INT8: "<i1",
    schema.TensorType.INT16: "<i2",
    schema.TensorType.INT32: "<i4",
    schema.TensorType.INT64: "<i8",
    schema.TensorType.UINT8: "<u1",
    schema.TensorType.UINT16: "<u2",
    schema.TensorType.UINT32: "<u4",
    schema.TensorType.UINT64: "<u8",
    schema.TensorType.BOOL: "?",
    schema.TensorType.BFLOAT16: ml_dtypes.bfloat16,
    schema.TensorType.FLOAT8_E4M3FN: ml_dtypes.float8_e4m3fn,
    schema.TensorType.FLOAT8_E5M2: ml_dtypes.float8_e5m2,
}

# Integers of less than a byte, the first in the lowest bits: how many bits, and whether signed.
PACKED = {
    schema.TensorType.INT4: (4, True),
    schema.TensorType.UINT4: (4, False),
    schema.TensorType.INT2: (2, True),
}


def read(data: bytes) -> schema.ModelT:
    """Unpacks a `.tflite` file.

    Vectors of numbers are read-only views of `data`. Absent lists come back empty. Constants that a
    large file keeps behind the flatbuffer are brought into their buffers.

    Args:
        data: The file's bytes.

    Returns:
        The schema's `ModelT`, every index in it checked.

    Raises:
        FlatbufferError: The bytes are no such file, or a damaged one.
    """
    if data[4:8] != IDENTIFIER:
        raise FlatbufferError(
            f"Not a TensorFlow Lite file: it has {bytes(data[4:8])!r} where {IDENTIFIER!r} belongs."
        )
    try:
        file = unpacking.unpack(data)
        _fill(file, data)
        _check(file)
    except FlatbufferError:
        raise
    except Exception as error:  # The schema's own readers trust their input: anything comes out.
        raise FlatbufferError(f"Damaged: {error}") from error
    return file


def write(file: schema.ModelT) -> bytes:
    """Packs a parsed file into the bytes of a `.tflite` file, its constants aligned to 16 bytes."""
    builder = flatbuffers.Builder(1024 + sum(length(buffer) + 64 for buffer in file.buffers))
    packed = copy.copy(file)
    packed.buffers = [_AlignedBuffer(buffer) for buffer in file.buffers]
    builder.Finish(packed.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def length(buffer: schema.BufferT) -> int:
    """The bytes of a buffer."""
    return 0 if buffer.data is None else len(buffer.data)


def buffer_bytes(file: schema.ModelT, tensor: schema.TensorT) -> np.ndarray:
    """The bytes that a file stores for a tensor, uint8; none for one that is computed."""
    data = file.buffers[tensor.buffer].data
    return np.zeros(0, np.uint8) if data is None else np.asarray(data, np.uint8)


def dense_bytes(tensor: schema.TensorT) -> int:
    """The bytes of a tensor when dense; zero for types without a fixed width."""
    if tensor.type in PACKED:
        bits, _ = PACKED[tensor.type]
        return -(-levels.size(tensor) * bits // 8)
    return levels.size(tensor) * np.dtype(_DTYPES.get(tensor.type, "V0")).itemsize


def constants(file: schema.ModelT) -> Iterator[tuple[schema.SubGraphT, int, schema.TensorT]]:
    """Yields `(subgraph, index in its tensors, tensor)` for every tensor with stored values."""
    for subgraph in file.subgraphs:
        for index, tensor in enumerate(subgraph.tensors):
            if length(file.buffers[tensor.buffer]) or tensor.sparsity is not None:
                yield subgraph, index, tensor


def stored(file: schema.ModelT, tensor: schema.TensorT) -> np.ndarray:
    """The values of a constant as the file stores them, 1-D; of a sparse tensor only its entries.

    Raises:
        FlatbufferError: NumPy has no such type (strings, or one of a later schema), or bytes are
            missing.
    """
    data = buffer_bytes(file, tensor)
    if tensor.type in PACKED:
        return unpacked(data, tensor.type).reshape(-1)[: levels.size(tensor)]
    if tensor.type not in _DTYPES:
        raise FlatbufferError(f"{levels.name(tensor)!r} has no NumPy type: {tensor.type}.")
    dtype = np.dtype(_DTYPES[tensor.type])
    if data.size % dtype.itemsize:
        raise FlatbufferError(f"{levels.name(tensor)!r} has {data.size} bytes of {dtype} values.")
    return data.view(dtype)


def unpacked(data: np.ndarray, kind: int) -> np.ndarray:
    """Unpacks integers that share bytes.

    Args:
        data: The bytes, uint8, `(count,)`.
        kind: A `schema.TensorType` of `PACKED`.

    Returns:
        An array `(count, integers in a byte)`, int8 or uint8.

    >>> unpacked(np.array([0x2F], np.uint8), schema.TensorType.INT4).tolist()
    [[-1, 2]]
    """
    bits, signed = PACKED[kind]
    # Each is moved to the top of a byte, and back with its sign.
    high = np.stack([data << (8 - bits - low) for low in range(0, 8, bits)], axis=-1)
    return high.view(np.int8 if signed else np.uint8) >> (8 - bits)


def values(file: schema.ModelT, tensor: schema.TensorT) -> np.ndarray:
    """The values of a constant in its full shape, sparse ones decoded as the runtime does.

    Where a block does not divide its axis, the format has no place for the tail: it reads as zeros.

    Args:
        model: What `read` returned.
        tensor: One of its tensors.

    Returns:
        An array of the tensor's shape; a view of the file where that stores it densely.

    Raises:
        FlatbufferError: Values, indices and shape contradict each other.
    """
    entries, shape, size = stored(file, tensor), levels.shape(tensor), levels.size(tensor)
    if tensor.sparsity is None:
        if entries.size != size:
            raise FlatbufferError(
                f"{levels.name(tensor)!r} of shape {shape} has {entries.size} values."
            )
        return entries.reshape(shape)
    if size * entries.itemsize > MAX_DENSE_BYTES:
        raise FlatbufferError(f"{levels.name(tensor)!r} of shape {shape} is too large to decode.")
    result = np.zeros(size, entries.dtype)
    result[levels.positions(tensor, entries.size)] = entries
    return result.reshape(shape)


class _AlignedBuffer:
    """Packs a buffer at the alignment that the schema demands and its generated code forgets."""

    def __init__(self, buffer: schema.BufferT):
        self._buffer = buffer

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if self._buffer.data is None:
            packed: int = self._buffer.Pack(builder)
            return packed
        data = np.ascontiguousarray(self._buffer.data, np.uint8)
        builder.StartVector(1, data.size, BUFFER_ALIGNMENT)
        builder.head -= data.size
        builder.Bytes[builder.head : builder.head + data.size] = data.data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        end: int = schema.BufferEnd(builder)
        return end


def _fill(file: schema.ModelT, data: bytes) -> None:
    """Makes absent lists empty, and brings in constants stored behind the flatbuffer."""
    for name in ("operatorCodes", "subgraphs", "buffers"):
        setattr(file, name, getattr(file, name) or [])
    for subgraph in file.subgraphs:
        subgraph.tensors = subgraph.tensors or []
        subgraph.operators = subgraph.operators or []
        for holder in (subgraph, *subgraph.operators):
            holder.inputs = _present(holder.inputs)
            holder.outputs = _present(holder.outputs)
        for tensor in subgraph.tensors:
            if tensor.sparsity is not None:
                tensor.sparsity.traversalOrder = _present(tensor.sparsity.traversalOrder)
                tensor.sparsity.blockMap = _present(tensor.sparsity.blockMap)
                tensor.sparsity.dimMetadata = tensor.sparsity.dimMetadata or []
    behind = 0
    for buffer in file.buffers:
        if buffer.offset > 1:
            behind += buffer.size
            if behind > len(data):
                raise FlatbufferError("Damaged: it describes more than its bytes can hold.")
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0


def _present(indices: np.ndarray | None) -> np.ndarray:
    return np.zeros(0, np.int32) if indices is None else indices


def _check(file: schema.ModelT) -> None:
    """Checks that every index in a file is in range, so that no reader after this has to ask."""
    for subgraph in file.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.buffer >= len(file.buffers):
                raise FlatbufferError(f"{levels.name(tensor)!r} is in no buffer.")
            if tensor.shape is not None and len(tensor.shape) > MOST_AXES:
                raise FlatbufferError(f"{levels.name(tensor)!r} has {len(tensor.shape)} axes.")
            shape = levels.shape(tensor)
            if min(shape, default=0) < 0 or math.prod(shape) > MOST_VALUES:
                raise FlatbufferError(f"{levels.name(tensor)!r} has shape {shape}.")
        for operator in subgraph.operators:
            if operator.opcodeIndex >= len(file.operatorCodes):
                raise FlatbufferError(f"An operator has no code: {operator.opcodeIndex}.")
            if operator.largeCustomOptionsOffset > 1:
                raise FlatbufferError("Custom options behind the flatbuffer are not supported.")
        holders = (subgraph, *subgraph.operators)
        indices = np.concatenate([each for h in holders for each in (h.inputs, h.outputs)])
        wrong = indices[(indices < -1) | (indices >= len(subgraph.tensors))]
        if wrong.size:
            raise FlatbufferError(f"An operator has no such tensor: {wrong[0]}.")
