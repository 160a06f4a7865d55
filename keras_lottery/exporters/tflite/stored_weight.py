"""One weight as a file stores it: what it costs, and how the runtime computes with it."""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import bitmask, flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import weights
from keras_lottery.exporters.tflite.runtimes.xnnpack import SparsePath

# What weights are made of; constants of other types are shapes, axes and tables.
_WEIGHT_TYPES = {
    schema.TensorType.FLOAT32: "float32",
    schema.TensorType.FLOAT16: "float16",
    schema.TensorType.INT16: "int16",
    schema.TensorType.INT8: "int8",
    schema.TensorType.UINT8: "uint8",
    schema.TensorType.INT4: "int4",
}

_INDEX_TYPES = {
    schema.SparseIndexVector.Int32Vector: "int32",
    schema.SparseIndexVector.Uint16Vector: "uint16",
    schema.SparseIndexVector.Uint8Vector: "uint8",
}

# Operators whose weights XNNPACK copies into an order of its own.
_PACKED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")

# How the runtime computes with a weight.
DENSE = "dense"
UNPACKED = "unpacked, dense"
SPARSE = "sparse"
SPARSE_WITHOUT_AVX = "sparse without AVX"
DECODED = "decoded at each run"
MISREAD = "misread"


@dataclass(frozen=True)
class StoredWeight:
    """One weight as a file stores it.

    Attributes:
        name: Of the tensor in the file.
        shape: Its dense shape, output channels first.
        dtype: Of the stored values.
        sparsity: The fraction of zeros.
        encoding: `"dense"`, or levels, blocks and index width of the sparse storage.
        value_bytes: Bytes of the stored values.
        index_bytes: Bytes of the indices or the bitmask beside them.
        dense_bytes: Bytes of the same values stored densely.
        entropy_bytes: What no encoding gets below that takes every weight as independent of the
            others: the entropy of which are zero, plus the others' values, at the entropy of their
            distribution for integers and at full width for floats. Blocks are not independent;
            compressed, they may be smaller.
        operator: What computes with it.
        computed: How: one of this module's `DENSE` and so on.
        memory: Bytes of RAM it takes in the default runtime: as stored, as unpacked, and as XNNPACK
            packs it once more.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    sparsity: float
    encoding: str
    value_bytes: int
    index_bytes: int
    dense_bytes: int
    entropy_bytes: int
    operator: str
    computed: str
    memory: int

    @property
    def stored_bytes(self) -> int:
        """Bytes of values and indices."""
        return self.value_bytes + self.index_bytes


def of(graph: Graph, index: int, sparse_path: SparsePath | None) -> StoredWeight:
    """What the constant `index` costs, and how it is computed.

    Raises:
        FlatbufferError: Values, indices and shape contradict each other.
    """
    tensor = graph.tensor(index)
    values = flatbuffer.stored(graph.model, tensor)
    if tensor.sparsity is not None:
        levels.check(tensor, values.size)
    size = levels.size(tensor)
    alive = values[values != _zero(tensor)]
    if alive.size > size:
        raise FlatbufferError(f"{levels.title(tensor)!r} has {values.size} values for {size}.")
    use = next(iter(graph.uses(index)), None)
    return StoredWeight(
        name=levels.title(tensor),
        shape=levels.shape(tensor),
        dtype=_WEIGHT_TYPES.get(tensor.type, f"type {tensor.type}"),
        sparsity=1 - alive.size / size if size else 0.0,
        encoding=_encoding(tensor),
        value_bytes=flatbuffer.length(graph.model.buffers[tensor.buffer]),
        index_bytes=_index_bytes(tensor),
        dense_bytes=flatbuffer.dense_bytes(tensor),
        entropy_bytes=_entropy_bytes(alive, size),
        operator="" if use is None else graph.name(use.operator),
        computed=_computed(graph, tensor, use, sparse_path),
        memory=_memory(graph, index, use),
    )


def decoded(graph: Graph, output: int, mask: int, table: int) -> StoredWeight:
    """What a weight costs that TensorFlow Lite Micro decodes: a bitmask, and a table of values.

    Raises:
        FlatbufferError: The mask names more weights than the table or the tensor holds.
    """
    tensor = graph.tensor(output)
    size, dense_bytes = levels.size(tensor), flatbuffer.dense_bytes(tensor)
    mask_bytes, table_bytes = (_bytes(graph, index) for index in (mask, table))
    values = table_bytes[bitmask.HEAD.size :]
    alive = int(np.unpackbits(mask_bytes).sum())
    if alive > size or alive > values.size:
        raise FlatbufferError(f"{levels.title(tensor)!r} has a mask of {alive} weights.")
    readers = graph.consumers.get(output, [])
    return StoredWeight(
        name=levels.title(tensor),
        shape=levels.shape(tensor),
        dtype=_WEIGHT_TYPES.get(tensor.type, f"type {tensor.type}"),
        sparsity=1 - alive / size if size else 0.0,
        encoding="bitmask",
        value_bytes=values.size,
        index_bytes=mask_bytes.size + table_bytes.size - values.size,
        dense_bytes=dense_bytes,
        entropy_bytes=_entropy_bytes(values[:alive], size),
        operator=graph.name(readers[0]) if readers else "",
        computed=DECODED,
        memory=mask_bytes.size + table_bytes.size + dense_bytes,
    )


def _zero(tensor):
    """The integer that stands for zero; the values of a sparse tensor are stored around none."""
    points = None if tensor.quantization is None else tensor.quantization.zeroPoint
    return points[0] if tensor.sparsity is None and points is not None and len(points) == 1 else 0


def _bytes(graph, index):
    data = graph.model.buffers[graph.tensor(index).buffer].data if index >= 0 else None
    return np.zeros(0, np.uint8) if data is None else np.asarray(data, np.uint8)


def is_weight(graph: Graph, index: int) -> bool:
    """Whether a constant is a weight rather than a bias, a shape or a state to begin with."""
    tensor = graph.tensor(index)
    shape = levels.shape(tensor)
    if tensor.sparsity is not None:
        return True
    if tensor.type not in _WEIGHT_TYPES or len(shape) < 2:
        return False
    # A kernel of one output has one long axis too, as an initial state or a scale may have.
    return sum(size > 1 for size in shape) > 1 or any(
        graph.name(use.operator) in weights.OPERATORS for use in graph.uses(index)
    )


def _encoding(tensor):
    """For instance `1x4 blocks, CSR of axis 1, uint8`, or `CSR of axis 0, uint8, order 1 2 3 0`."""
    if tensor.sparsity is None:
        return "dense"
    rank, blocks = len(levels.shape(tensor)), levels.blocks(tensor)
    order = [int(entry) for entry in tensor.sparsity.traversalOrder if entry < rank]
    found = list(zip(tensor.sparsity.traversalOrder, tensor.sparsity.dimMetadata, strict=True))
    sparse = [
        (axis, level) for axis, level in found if level.format == schema.DimensionType.SPARSE_CSR
    ]
    text = (
        "x".join(str(blocks.get(axis, 1)) for axis in range(rank)) + " blocks, " if blocks else ""
    )
    if not sparse:
        return text + "every entry"
    axes = " ".join(str(axis) for axis, _ in sparse)
    widths = {_INDEX_TYPES.get(level.arrayIndicesType, "no indices") for _, level in sparse}
    text += f"CSR of axis {axes}, {' '.join(sorted(widths))}"
    return text if order == sorted(order) else f"{text}, order {' '.join(map(str, order))}"


def _index_bytes(tensor):
    if tensor.sparsity is None:
        return 0
    vectors = [
        vector.values
        for level in tensor.sparsity.dimMetadata
        for vector in (level.arraySegments, level.arrayIndices)
        if vector is not None and vector.values is not None
    ]
    return sum(vector.nbytes for vector in vectors)


def _entropy_bytes(alive, size):
    if alive.dtype.kind == "f":
        value_bits = 8.0 * alive.nbytes
    elif alive.itemsize == 1:
        value_bits = _entropy_bits(np.bincount(alive.view(np.uint8)))
    else:
        value_bits = _entropy_bits(np.unique(alive, return_counts=True)[1])
    return int(np.ceil((_entropy_bits(np.array([alive.size, size - alive.size])) + value_bits) / 8))


def _entropy_bits(counts):
    """Bits to write down a sequence in which each symbol occurs as often as `counts` says."""
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum()) if counts.size else 0.0


def _computed(graph, tensor, use, sparse_path):
    through = () if use is None else use.through
    if sparse_path and sparse_path.taken and levels.title(tensor) in sparse_path.weights:
        return SPARSE_WITHOUT_AVX
    if tensor.sparsity is None:
        return DENSE
    if through[:1] == ("DENSIFY",):
        return UNPACKED
    native = use is not None and not through and graph.name(use.operator) == "FULLY_CONNECTED"
    return SPARSE if native else MISREAD


def _memory(graph, index, use):
    tensor = graph.tensor(index)
    held = [flatbuffer.length(graph.model.buffers[tensor.buffer]) + _index_bytes(tensor)]
    if use is not None:
        held += [flatbuffer.dense_bytes(graph.tensor(copy)) for copy in use.copies]
        native = tensor.sparsity is not None and not use.through
        if graph.name(use.operator) in _PACKED and not native:
            last = use.copies[-1] if use.copies else index
            held.append(flatbuffer.dense_bytes(graph.tensor(last)))
    return sum(held)
