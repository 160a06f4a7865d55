"""Finds what TensorFlow's own sparse conversion gets wrong: `find(graph, index) -> [Defect]`.

All five were reproduced with TensorFlow 2.21 and LiteRT 2.3; nothing of this is caught when a file
is converted.
"""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tables import printable
from keras_lottery.exporters.tflite.format import levels
from keras_lottery.exporters.tflite.format.graph import Graph, Use

# The version of FULLY_CONNECTED with which LiteRT takes its sparse kernels, and XNNPACK leaves it.
SPARSE_VERSION = 8

# In the runtime's table of a row's blocks, their count and each one's column take one byte.
MOST_BLOCKS = 255
_COLUMNS = 256

_FLOAT = schema.TensorType.FLOAT32
_INT8 = schema.TensorType.INT8


@dataclass(frozen=True)
class Defect:
    """A weight that some runtime computes wrongly, or refuses.

    Attributes:
        kind: `"never unpacked"`, `"claimed by XNNPACK"`, `"refused by XNNPACK"`, `"cut off"` or
            `"too many blocks"`.
        tensor: The weight's name.
        cause: What is wrong in the file.
        effects: Runtime -> what it does with the file.
    """

    kind: str
    tensor: str
    cause: str
    effects: dict[str, str]


def find(graph: Graph, index: int) -> list[Defect]:
    """The defects in how the sparse constant `index` is stored and used.

    Raises:
        FlatbufferError: The tensor's sparsity contradicts itself.
    """
    # Of uses in which the looks below find the same, one is enough.
    alike = {
        (use.through, use.operator.opcodeIndex, _is_hybrid(graph, index, use)): use
        for use in graph.uses(index)
    }
    return [
        defect
        for use in alike.values()
        for look in (_undensified, _claimed, _undelegated, _indivisible, _overflowing)
        if (defect := look(graph, index, use)) is not None
    ]


def _undensified(graph: Graph, index: int, use: Use) -> Defect | None:
    """Nothing unpacks the tensor, and its reader does not know sparse tensors."""
    name = graph.name(use.operator)
    first = use.through[0] if use.through else name
    if first in ("DENSIFY", "FULLY_CONNECTED"):
        return None
    return Defect(
        "never unpacked",
        printable(levels.name(graph.tensor(index))),
        f"{first} reads the compressed bytes as if they were dense: there is no DENSIFY before it.",
        {
            "LiteRT, XNNPACK": "NaN or noise",
            "LiteRT, built-in kernels": "NaN or noise",
            "LiteRT.js": "NaN",
            "LiteRT on arm64": "crashes",
        },
    )


def _claimed(graph: Graph, index: int, use: Use) -> Defect | None:
    """XNNPACK takes a sparse hybrid layer that it cannot compute."""
    if use.through or not _is_hybrid(graph, index, use):
        return None
    if graph.version(use.operator) == SPARSE_VERSION:
        return None
    return Defect(
        "claimed by XNNPACK",
        printable(levels.name(graph.tensor(index))),
        f"FULLY_CONNECTED of version {graph.version(use.operator)} with sparse int8 weights and "
        f"float inputs: XNNPACK leaves only version {SPARSE_VERSION} to the kernel that knows "
        "sparse weights.",
        {
            "LiteRT, XNNPACK": "NaN or noise",
            "LiteRT, built-in kernels": "correct",
            "LiteRT.js": "NaN",
            "LiteRT on arm64": "crashes",
        },
    )


def _undelegated(graph: Graph, index: int, use: Use) -> Defect | None:
    """XNNPACK takes an int8 layer whose unpacked weights it then cannot find."""
    name = graph.name(use.operator)
    weight_is_int8 = graph.tensor(index).type == _INT8 and use.through == ("DENSIFY",)
    hybrid_convolution = name == "CONV_2D" and _is_hybrid(graph, index, use)
    if not weight_is_int8 or not (name == "FULLY_CONNECTED" or hybrid_convolution):
        return None
    return Defect(
        "refused by XNNPACK",
        printable(levels.name(graph.tensor(index))),
        f"{name} with int8 weights behind DENSIFY: XNNPACK claims it and then cannot prepare it.",
        {
            "LiteRT, XNNPACK": "does not load",
            "LiteRT, built-in kernels": "correct",
            "LiteRT.js": "zeros, without an error",
        },
    )


def _indivisible(graph: Graph, index: int, use: Use) -> Defect | None:
    """The columns behind the last whole block have no place in the file."""
    tensor = graph.tensor(index)
    shape, blocks = levels.shape(tensor), levels.blocks(tensor)
    cut = {axis: width for axis, width in blocks.items() if shape[axis] % width}
    if not cut:
        return None
    axis, width = next(iter(cut.items()))
    return Defect(
        "cut off",
        printable(levels.name(tensor)),
        f"Blocks of {width} along an axis of {shape[axis]}: the last {shape[axis] % width} "
        "columns were dropped when the file was made, whatever weights they held.",
        {"every runtime": "silently wrong, unless those weights were all zero"},
    )


def _overflowing(graph: Graph, index: int, use: Use) -> Defect | None:
    """More blocks in a row than the hybrid kernel's one-byte table can count or number."""
    tensor = graph.tensor(index)
    width = levels.blocks(tensor).get(1)
    if use.through or not width or not _is_hybrid(graph, index, use):
        return None
    inputs = levels.shape(tensor)[1]
    fullest = _fullest_row(tensor)
    if inputs <= _COLUMNS * width and fullest <= MOST_BLOCKS:
        return None
    return Defect(
        "too many blocks",
        printable(levels.name(tensor)),
        f"{inputs} inputs in blocks of {width}, {fullest} of them in one row: the kernel's table "
        f"has one byte for each, up to {_COLUMNS} columns and {MOST_BLOCKS} blocks in a row.",
        {"LiteRT, built-in kernels": "silently wrong"},
    )


def _fullest_row(tensor: schema.TensorT) -> int:
    """The most blocks that a row stores."""
    compressed = [
        level
        for level in tensor.sparsity.dimMetadata
        if level.format == schema.DimensionType.SPARSE_CSR
    ]
    counts = [np.diff(np.asarray(level.arraySegments.values, np.int64)) for level in compressed]
    return max((int(count.max(initial=0)) for count in counts), default=0)


def _is_hybrid(graph: Graph, index: int, use: Use) -> bool:
    """Whether int8 weights meet float inputs."""
    values = graph.input(use.operator, 0)
    if graph.tensor(index).type != _INT8 or "DEQUANTIZE" in use.through or values < 0:
        return False
    return bool(graph.tensor(values).type == _FLOAT)
