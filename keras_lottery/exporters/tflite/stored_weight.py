"""One weight as a file stores it: what it costs, and how the runtime computes with it."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tables import printable
from keras_lottery.exporters.tflite.contents import Contents, entropy_bits
from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph, Use
from keras_lottery.exporters.tflite.rewriting import bitmask, rewritable

# The types of weights, with their names.
_WEIGHT_TYPES = {
    schema.TensorType.FLOAT64: "float64",
    schema.TensorType.FLOAT32: "float32",
    schema.TensorType.FLOAT16: "float16",
    schema.TensorType.BFLOAT16: "bfloat16",
    schema.TensorType.FLOAT8_E4M3FN: "float8_e4m3fn",
    schema.TensorType.FLOAT8_E5M2: "float8_e5m2",
    schema.TensorType.INT16: "int16",
    schema.TensorType.INT8: "int8",
    schema.TensorType.UINT8: "uint8",
    schema.TensorType.INT4: "int4",
    schema.TensorType.UINT4: "uint4",
    schema.TensorType.INT2: "int2",
}

# The types of shapes, axes, lookup tables and texts. A type that is in neither list is unknown.
_OTHER_TYPES = (
    schema.TensorType.INT32,
    schema.TensorType.INT64,
    schema.TensorType.UINT16,
    schema.TensorType.UINT32,
    schema.TensorType.UINT64,
    schema.TensorType.BOOL,
    schema.TensorType.STRING,
    schema.TensorType.COMPLEX64,
    schema.TensorType.COMPLEX128,
    schema.TensorType.RESOURCE,
    schema.TensorType.VARIANT,
)

_INDEX_TYPES = {
    schema.SparseIndexVector.Int32Vector: "int32",
    schema.SparseIndexVector.Uint16Vector: "uint16",
    schema.SparseIndexVector.Uint8Vector: "uint8",
}

# Operators whose weights XNNPACK copies into an order of its own.
_PACKED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")

# For each byte, how many of its bits are one.
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.int64)

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
        dtype: Of the stored values; `"type 99"`, say, for one that this package does not know.
        sparsity: The fraction of zeros; None for values of an unknown type.
        encoding: `"dense"`, or levels, blocks and index width of the sparse storage.
        value_bytes: Bytes of the stored values.
        index_bytes: Bytes of the indices or the bitmask beside them.
        dense_bytes: Bytes of the same values stored densely.
        entropy_bytes: The fewest bytes of an encoding that takes every weight as independent of the
            others. It counts the entropy of which weights are zero, and the values of the others:
            integers at the entropy of their distribution, floats at full width. Blocks are not
            independent; compressed, they may be smaller.
        operator: The operator that computes with it.
        computed: How the operator does: one of this module's `DENSE` and so on.
        memory: Bytes of RAM that it takes in the default runtime: stored, unpacked, and packed once
            more by XNNPACK.
        dequantized: Whether the file unpacks it and then dequantizes it, for a layer in float.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    sparsity: float | None
    encoding: str
    value_bytes: int
    index_bytes: int
    dense_bytes: int
    entropy_bytes: int
    operator: str
    computed: str
    memory: int
    dequantized: bool = False

    @property
    def stored_bytes(self) -> int:
        """Bytes of values and indices."""
        return self.value_bytes + self.index_bytes


def read(
    graph: Graph, index: int, contents: Contents, sparse_in_xnnpack: Collection[str]
) -> StoredWeight:
    """Reads what the constant `index` costs, and how it is computed.

    Args:
        graph: The subgraph of the constant.
        index: The index of its tensor.
        contents: The counts of the same file.
        sparse_in_xnnpack: The names of the weights that XNNPACK computes sparsely.

    Raises:
        FlatbufferError: Values, indices and shape contradict each other.
    """
    tensor = graph.tensor(index)
    known = tensor.type in _WEIGHT_TYPES
    value_bytes, index_bytes = graph.buffer(index).size, _index_bytes(tensor)
    sparsity, entropy_bytes = None, value_bytes + index_bytes
    if known or tensor.sparsity is not None:
        content, size = contents.count(tensor), levels.size(tensor)
        if tensor.sparsity is not None:
            levels.parse(tensor, content.stored)
        if content.alive > size:
            raise FlatbufferError(
                f"{levels.name(tensor)!r} has {content.stored} values for {size}."
            )
        sparsity = 1 - content.alive / size if size else 0.0
        entropy_bytes = _entropy_bytes(content.alive, size, content.value_bits)
    use = next(iter(graph.uses(index)), None)
    return StoredWeight(
        name=printable(levels.name(tensor)),
        shape=levels.shape(tensor),
        dtype=_dtype(tensor),
        sparsity=sparsity,
        encoding=_encoding(tensor),
        value_bytes=value_bytes,
        index_bytes=index_bytes,
        dense_bytes=flatbuffer.dense_bytes(tensor) if known else value_bytes,
        entropy_bytes=entropy_bytes,
        operator="" if use is None else graph.name(use.operator),
        computed=_computed(graph, tensor, use, sparse_in_xnnpack),
        memory=_memory(graph, index, use),
        dequantized=use is not None and use.through == ("DENSIFY", "DEQUANTIZE"),
    )


def read_bitmask(graph: Graph, output: int, mask: int, table: int) -> StoredWeight:
    """Reads what a weight costs that TensorFlow Lite Micro decodes from a bitmask and a table.

    Args:
        graph: The subgraph of the weight.
        output: The index of the decoded tensor.
        mask: The index of its bitmask.
        table: The index of its values.

    Raises:
        FlatbufferError: The mask names more weights than the table or the tensor holds.
    """
    tensor = graph.tensor(output)
    size, dense_bytes = levels.size(tensor), flatbuffer.dense_bytes(tensor)
    mask_bytes, table_bytes = graph.buffer(mask), graph.buffer(table)
    values = table_bytes[bitmask.HEAD.size :]
    alive = int(_ONES @ np.bincount(mask_bytes, minlength=256))
    if alive > size or alive > values.size:
        raise FlatbufferError(f"{levels.name(tensor)!r} has a mask of {alive} weights.")
    readers = graph.consumers.get(output, [])
    return StoredWeight(
        name=printable(levels.name(tensor)),
        shape=levels.shape(tensor),
        dtype=_dtype(tensor),
        sparsity=1 - alive / size if size else 0.0,
        encoding="bitmask",
        value_bytes=values.size,
        index_bytes=mask_bytes.size + table_bytes.size - values.size,
        dense_bytes=dense_bytes,
        entropy_bytes=_entropy_bytes(alive, size, entropy_bits(np.bincount(values[:alive]))),
        operator=graph.name(readers[0]) if readers else "",
        computed=DECODED,
        memory=mask_bytes.size + table_bytes.size + dense_bytes,
    )


def is_weight(graph: Graph, index: int) -> bool:
    """Whether a constant is a weight rather than a bias, a shape or a state to begin with."""
    tensor = graph.tensor(index)
    shape = levels.shape(tensor)
    if tensor.sparsity is not None:
        return True
    if tensor.type in _OTHER_TYPES or len(shape) < 2:
        return False
    # A kernel of one output has one long axis too, as an initial state or a scale may have.
    return sum(size > 1 for size in shape) > 1 or any(
        graph.name(use.operator) in rewritable.OPERATORS for use in graph.uses(index)
    )


def _encoding(tensor: schema.TensorT) -> str:
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


def _index_bytes(tensor: schema.TensorT) -> int:
    if tensor.sparsity is None:
        return 0
    vectors = [
        vector.values
        for level in tensor.sparsity.dimMetadata
        for vector in (level.arraySegments, level.arrayIndices)
        if vector is not None and vector.values is not None
    ]
    return sum(vector.nbytes for vector in vectors)


def _dtype(tensor: schema.TensorT) -> str:
    return _WEIGHT_TYPES.get(tensor.type, f"type {tensor.type}")


def _entropy_bytes(alive: int, size: int, value_bits: float) -> int:
    parts = [count for count in (alive, size - alive) if count]
    bits = value_bits - sum(count * math.log2(count / size) for count in parts)
    return math.ceil(bits / 8)


def _computed(
    graph: Graph, tensor: schema.TensorT, use: Use | None, sparse_in_xnnpack: Collection[str]
) -> str:
    through = () if use is None else use.through
    if levels.name(tensor) in sparse_in_xnnpack:
        return SPARSE_WITHOUT_AVX
    if tensor.sparsity is None:
        return DENSE
    if through[:1] == ("DENSIFY",):
        return UNPACKED
    native = use is not None and not through and graph.name(use.operator) == "FULLY_CONNECTED"
    return SPARSE if native else MISREAD


def _memory(graph: Graph, index: int, use: Use | None) -> int:
    tensor = graph.tensor(index)
    held = [graph.buffer(index).size + _index_bytes(tensor)]
    if use is not None:
        held += [flatbuffer.dense_bytes(graph.tensor(copy)) for copy in use.copies]
        native = tensor.sparsity is not None and not use.through
        if graph.name(use.operator) in _PACKED and not native:
            last = use.copies[-1] if use.copies else index
            held.append(flatbuffer.dense_bytes(graph.tensor(last)))
    return sum(held)
