"""Where the values of a sparse tensor belong: `SparsityParameters` decoded to flat positions.

The format stores a tensor as a tree. Its levels are the axes in `traversalOrder`, blocks last.
Below every entry of the level above, a dense level has `denseSize` entries and a CSR level those
that its segments list.
"""

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import FlatbufferError


def shape(tensor: schema.TensorT) -> tuple[int, ...]:
    """A tensor's shape as plain integers; `()` for a scalar."""
    return () if tensor.shape is None else tuple(np.asarray(tensor.shape).tolist())


def size(tensor: schema.TensorT) -> int:
    """How many values a tensor has when dense."""
    return math.prod(shape(tensor))


def name(tensor: schema.TensorT) -> str:
    """A tensor's name as text, to compare; to be shown it is `names.printable`."""
    return (tensor.name or b"").decode(errors="replace")


def blocks(tensor: schema.TensorT) -> dict[int, int]:
    """Axis to block length, for the axes that a sparse tensor stores in blocks."""
    order, axes = _traversal(tensor)
    rank = len(shape(tensor))
    return {
        axes[entry - rank]: int(level.denseSize)
        for entry, level in zip(order, tensor.sparsity.dimMetadata, strict=True)
        if entry >= rank
    }


def positions(tensor: schema.TensorT, count: int) -> np.ndarray:
    """Where the stored values of a sparse tensor belong in the flattened dense one.

    Args:
        tensor: A tensor with `sparsity`.
        count: How many values it stores.

    Returns:
        `count` int64 indices, in the order of the values.

    Raises:
        FlatbufferError: The levels contradict each other, the shape or `count`.
    """
    sizes = shape(tensor)
    result = np.zeros(1, np.int64)
    for axis, step, level in parse(tensor, count):
        stride = step * math.prod(sizes[axis + 1 :])
        if level.format == schema.DimensionType.DENSE:
            result = (result[:, None] + stride * np.arange(level.denseSize)).reshape(-1)
        else:
            segments: np.ndarray = np.asarray(level.arraySegments.values, np.int64)
            children = segments[1:] - segments[:-1]
            indices = np.asarray(level.arrayIndices.values, np.int64)
            result = np.repeat(result, children) + stride * indices
    return result


def _traversal(tensor: schema.TensorT) -> tuple[list[int], list[int]]:
    """Traversal order and block map as lists; a permutation and distinct axes."""
    sparsity, rank = tensor.sparsity, len(shape(tensor))
    order = [int(entry) for entry in sparsity.traversalOrder]
    # What is written anew may leave out the map where there are no blocks.
    axes = [] if sparsity.blockMap is None else [int(axis) for axis in sparsity.blockMap]
    if len(set(axes)) != len(axes) or not all(0 <= axis < rank for axis in axes):
        raise FlatbufferError(f"{name(tensor)!r} has {rank} axes and the block map {axes}.")
    if sorted(order) != list(range(rank + len(axes))):
        raise FlatbufferError(f"{name(tensor)!r} has the traversal order {order}.")
    if len(sparsity.dimMetadata) != len(order):
        raise FlatbufferError(f"{name(tensor)!r} has no metadata for some of its levels.")
    return order, axes


def parse(tensor: schema.TensorT, count: int) -> list[tuple[int, int, schema.DimensionMetadataT]]:
    """Reads and checks the levels of a sparse tensor, allocating nothing large.

    Args:
        tensor: A tensor with `sparsity`.
        count: How many values it stores.

    Returns:
        `(axis, step along it, metadata)` for each level, outermost first.

    Raises:
        FlatbufferError: The levels contradict each other, the shape or `count`.
    """
    sizes, block = shape(tensor), blocks(tensor)
    order, axes = _traversal(tensor)
    levels, entries = [], 1
    for entry, level in zip(order, tensor.sparsity.dimMetadata, strict=True):
        inner = entry >= len(sizes)
        axis = axes[entry - len(sizes)] if inner else entry
        width = block.get(axis, 1)
        if not 1 <= width <= sizes[axis]:
            raise FlatbufferError(f"{name(tensor)!r} has blocks of {width} in {sizes[axis]}.")
        length = width if inner else sizes[axis] // width
        if level.format == schema.DimensionType.SPARSE_CSR:
            if inner:
                raise FlatbufferError(f"{name(tensor)!r} is sparse inside its blocks.")
            entries = _csr_entries(tensor, level, entries, length)
        elif level.format == schema.DimensionType.DENSE and level.denseSize == length:
            entries *= length
        else:
            raise FlatbufferError(
                f"{name(tensor)!r} stores {level.denseSize} entries along an axis of {length}."
            )
        levels.append((axis, 1 if inner else width, level))
    if entries != count:
        raise FlatbufferError(f"{name(tensor)!r} has {count} values for {entries} positions.")
    return levels


def _csr_entries(
    tensor: schema.TensorT, level: schema.DimensionMetadataT, parents: int, length: int
) -> int:
    """How many entries a CSR level has under `parents` entries of the level above it."""
    segments = None if level.arraySegments is None else level.arraySegments.values
    indices = None if level.arrayIndices is None else level.arrayIndices.values
    indices = np.zeros(0, np.uint8) if indices is None else np.asarray(indices)
    if segments is None or len(segments) != parents + 1:
        raise FlatbufferError(f"{name(tensor)!r} lacks its {parents + 1} segments.")
    falls = (segments[1:] < segments[:-1]).any()
    if falls or segments[0] != 0 or segments[-1] != indices.size:
        raise FlatbufferError(f"{name(tensor)!r}: segments do not cover {indices.size} indices.")
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < length:
        raise FlatbufferError(f"{name(tensor)!r} has indices outside an axis of {length}.")
    return indices.size
