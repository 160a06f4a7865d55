"""`SparsityParameters`: the cheapest way to store an array by its non-zero values, to the byte.

TFLite stores a sparse tensor as a tree, one level for each axis in any order: under each entry of
the level above, a dense level has all indices of its axis, a compressed one (CSR) lists those under
which something is alive. A level keeps `entries above + 1` segments and one index for each entry,
each as narrow as its largest number allows. A block, a run of values along an axis that live and
die together, costs one index.

How many entries a compressed level has depends only on the axes at and above it. So one count for
each set of axes prices all orders and all choices of compressed levels.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Lengths of blocks to try, along each axis that they divide.
BLOCKS = (2, 4, 8, 16)


@dataclass(frozen=True)
class Plan:
    """One way to store an array sparsely.

    Attributes:
        order: The array's axes from the outermost level to the innermost.
        compressed: For each level whether it is compressed.
        block: `(axis, length)` of the runs stored whole, or `None`.
        count: How many values are stored.
        bytes: What values, segments and indices take together.
    """

    order: tuple[int, ...]
    compressed: tuple[bool, ...]
    block: tuple[int, int] | None
    count: int
    bytes: int


def cheapest(values: np.ndarray, itemsize: int, blocks: Sequence[int] = BLOCKS) -> Plan:
    """The plan with the fewest bytes for an array.

    Args:
        values: The array.
        itemsize: The bytes that one value will take.
        blocks: Lengths of blocks to try.

    Returns:
        A `Plan`; it can cost more than the array itself.

    >>> plan = cheapest(np.eye(8), itemsize=4)
    >>> plan.count, plan.bytes
    (8, 49)
    """
    live = _alive(values)
    best = _cheapest_of_units(live, itemsize, None)
    for axis, length in itertools.product(range(live.ndim), blocks):
        if live.shape[axis] % length:
            continue
        units = _live_blocks(live, axis, length)
        # Each block costs its values and an index at the least.
        if np.count_nonzero(units) * (length * itemsize + 1) < best.bytes:
            plan = _cheapest_of_units(units, length * itemsize, (axis, length))
            best = min(best, plan, key=lambda p: p.bytes)
    return best


def by_rows(values: np.ndarray, itemsize: int, length: int = 1) -> Plan:
    """The plan by which the runtimes' sparse fully connected kernels read a weight.

    Args:
        values: The weight, of shape `(outputs, inputs)`.
        itemsize: The bytes that one value will take.
        length: The length of its blocks along the inputs, a divisor of their number.

    Returns:
        A `Plan`.
    """
    units = _live_blocks(_alive(values), 1, length)
    counts = {(0,): len(units), (0, 1): int(np.count_nonzero(units))}
    widths = [0, _width(_last_alive(units, 1))]
    block = (1, length) if length > 1 else None
    order, compressed = (0, 1), (False, True)
    return _price(order, compressed, units.shape, counts, widths, length * itemsize, block)


def encode(values: np.ndarray, plan: Plan) -> tuple[np.ndarray, schema.SparsityParametersT]:
    """Stores an array by a plan.

    Args:
        values: The array.
        plan: A `Plan` made for an array of its shape and zeros.

    Returns:
        The stored values, 1-D, and the `SparsityParametersT` that says where they belong.
    """
    block = plan.block or (values.ndim - 1, 1)
    blocked = _split(values, *block).transpose(*plan.order, -1)
    live = _live_blocks(_alive(values), *block).transpose(plan.order)
    entries: np.ndarray | None = None
    levels = []
    for level, compressed in enumerate(plan.compressed):
        size = live.shape[level]
        if not compressed:
            levels.append(_dense_level(size))
            if entries is not None:
                entries = (entries[:, None] * size + np.arange(size)).reshape(-1)
            continue
        children = live.any(axis=tuple(range(level + 1, live.ndim))).reshape(-1, size)
        if entries is not None:
            children = children[entries]
        found = np.flatnonzero(children)
        indices = found % size
        segments = np.concatenate([[0], np.cumsum(np.count_nonzero(children, axis=1))])
        levels.append(_compressed_level(segments, indices))
        entries = found if entries is None else entries[found // size] * size + indices
    stored = blocked.reshape(-1, blocked.shape[-1])[entries].reshape(-1)
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = list(plan.order)
    if plan.block:
        axis, length = plan.block
        sparsity.traversalOrder.append(values.ndim)
        sparsity.blockMap = [axis]
        levels.append(_dense_level(length))
    sparsity.dimMetadata = levels
    return stored, sparsity


def _cheapest_of_units(live: np.ndarray, unit_bytes: int, block: tuple[int, int] | None) -> Plan:
    axes = range(live.ndim)
    counts = {
        kept: int(np.count_nonzero(live.any(axis=tuple(a for a in axes if a not in kept))))
        for size in range(1, live.ndim + 1)
        for kept in itertools.combinations(axes, size)
    }
    widths = [_width(_last_alive(live, axis)) for axis in axes]
    plans = (
        _price(order, compressed, live.shape, counts, widths, unit_bytes, block)
        for order in itertools.permutations(axes)
        for compressed in itertools.product((False, True), repeat=live.ndim)
        if any(compressed)
    )
    return min(plans, key=lambda plan: plan.bytes)


def _price(
    order: tuple[int, ...],
    compressed: tuple[bool, ...],
    shape: tuple[int, ...],
    counts: Mapping[tuple[int, ...], int],
    widths: Sequence[int],
    unit_bytes: int,
    block: tuple[int, int] | None,
) -> Plan:
    entries, total = 1, 0
    for level, axis in enumerate(order):
        if compressed[level]:
            above, entries = entries, counts[tuple(sorted(order[: level + 1]))]
            total += (above + 1) * _width(entries) + entries * widths[axis]
        else:
            entries *= shape[axis]
    values = entries * (block[1] if block else 1)
    return Plan(order, compressed, block, values, total + entries * unit_bytes)


def _split(array: np.ndarray, axis: int, length: int) -> np.ndarray:
    """`array` with one more axis at the end that runs through the blocks along `axis`."""
    shape = array.shape
    split = array.reshape(*shape[:axis], shape[axis] // length, length, *shape[axis + 1 :])
    return np.moveaxis(split, axis + 1, -1)


def _live_blocks(live: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Where a block along `axis` has something alive."""
    return np.asarray(_split(live, axis, length).any(axis=-1))


def _alive(values: np.ndarray) -> np.ndarray:
    """Where to store a value. An array of zeros stores one, as no constant may be empty."""
    live = values != 0
    if not live.any():
        live[(0,) * live.ndim] = True
    return live


def _last_alive(live: np.ndarray, axis: int) -> int:
    others = tuple(a for a in range(live.ndim) if a != axis)
    return int(np.flatnonzero(live.any(axis=others)).max(initial=0))


def _width(largest: int) -> int:
    return 1 if largest < 2**8 else 2 if largest < 2**16 else 4


def _dense_level(size: int) -> schema.DimensionMetadataT:
    level = schema.DimensionMetadataT()
    level.format = schema.DimensionType.DENSE
    level.denseSize = size
    return level


def _compressed_level(segments: np.ndarray, indices: np.ndarray) -> schema.DimensionMetadataT:
    level = schema.DimensionMetadataT()
    level.format = schema.DimensionType.SPARSE_CSR
    level.arraySegmentsType, level.arraySegments = _narrow(segments)
    level.arrayIndicesType, level.arrayIndices = _narrow(indices)
    return level


def _narrow(numbers: np.ndarray) -> tuple[int, object]:
    kind, vector, dtype = {
        1: ("Uint8Vector", schema.Uint8VectorT(), np.uint8),
        2: ("Uint16Vector", schema.Uint16VectorT(), np.uint16),
        4: ("Int32Vector", schema.Int32VectorT(), np.int32),
    }[_width(int(numbers.max(initial=0)))]
    vector.values = numbers.astype(dtype)
    return getattr(schema.SparseIndexVector, kind), vector
