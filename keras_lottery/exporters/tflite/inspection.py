"""Reads any `.tflite` file: the bytes of its weights, how they are computed, and its defects."""

import errno
import gzip
import math
import os
import stat
from collections import Counter
from dataclasses import dataclass
from os import PathLike

from keras_lottery.exporters.tflite import stored_weight
from keras_lottery.exporters.tflite.contents import Contents
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import bitmask
from keras_lottery.exporters.tflite.runtimes import channels_first, defects, xnnpack
from keras_lottery.exporters.tflite.runtimes.defects import Defect
from keras_lottery.exporters.tflite.runtimes.xnnpack import SparsePath
from keras_lottery.exporters.tflite.stored_weight import StoredWeight


@dataclass(frozen=True)
class Inspection:
    """The contents of a `.tflite` file.

    Attributes:
        weights: Every kernel and table of the network, in the order of the file.
        other_bytes: Bytes of the other constants: biases, shapes.
        file_bytes: Bytes of the file.
        gzip_bytes: Bytes of the file after gzip; see `gzipped`.
        operators: Operator -> how often it occurs.
        defects: The weights that a runtime would compute wrongly or refuse.
        sparse_path: How XNNPACK computes the 1x1 convolutions; None if there are none.
    """

    weights: tuple[StoredWeight, ...]
    other_bytes: int
    file_bytes: int
    gzip_bytes: int
    operators: dict[str, int]
    defects: tuple[Defect, ...]
    sparse_path: SparsePath | None

    @property
    def entropy_bytes(self) -> int:
        """The entropy bound of the weights, plus the other constants as they are."""
        return self.other_bytes + sum(w.entropy_bytes for w in self.weights)

    @property
    def dense_bytes(self) -> int:
        """About the bytes of the file if every weight were stored densely, in its own type."""
        saved = sum(w.dense_bytes - w.stored_bytes for w in self.weights)
        return self.file_bytes + saved

    @property
    def sparsity(self) -> float:
        """The fraction of zeros in all weights of known types together."""
        known = [(w.sparsity, math.prod(w.shape)) for w in self.weights if w.sparsity is not None]
        size = sum(size for _, size in known)
        return sum(sparsity * size for sparsity, size in known) / size if size else 0.0

    @property
    def unknown(self) -> int:
        """How many weights have a type, and so zeros, that this package does not know."""
        return sum(w.sparsity is None for w in self.weights)


def read(data: bytes) -> Inspection:
    """Reads what the bytes of a `.tflite` file hold.

    Raises:
        FlatbufferError: The bytes are no such file, or a damaged one.
    """
    file = flatbuffer.read(data)
    contents = Contents(file)
    sparse_path = xnnpack.sparse_path(file)
    sparse_in_xnnpack = frozenset(sparse_path.weights if sparse_path and sparse_path.taken else ())
    weights: list[StoredWeight] = []
    found: list[Defect] = []
    operators: Counter[str] = Counter()
    other_bytes = 0
    for subgraph in file.subgraphs:
        graph = Graph(file, subgraph)
        operators.update(graph.name(operator) for operator in subgraph.operators)
        encoded = _encoded(graph)
        weights += [stored_weight.read_bitmask(graph, *trio) for trio in encoded]
        parts = {index for trio in encoded for index in trio}
        for index, tensor in enumerate(subgraph.tensors):
            if index in parts or not (graph.is_constant(index) or tensor.sparsity):
                continue
            if not stored_weight.is_weight(graph, index):
                other_bytes += graph.buffer(index).size
                continue
            weights.append(stored_weight.read(graph, index, contents, sparse_in_xnnpack))
            if tensor.sparsity is not None:
                found += defects.find(graph, index)
    found += channels_first.find(file, contents)
    return Inspection(
        weights=tuple(weights),
        other_bytes=other_bytes,
        file_bytes=len(data),
        gzip_bytes=gzipped(data),
        operators=dict(sorted(operators.items())),
        defects=tuple({(d.kind, d.tensor, d.cause): d for d in found}.values()),
        sparse_path=sparse_path,
    )


def bytes_of(file: str | PathLike | bytes) -> bytes:
    """The bytes of a file, by its path or itself.

    Raises:
        OSError: The file cannot be read, or is no plain file: a folder, a device, a pipe.
    """
    if isinstance(file, bytes):
        return file
    # Opening a pipe would wait for someone to write into it, and a device may never end.
    with open(file, "rb", opener=_without_waiting) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a plain file", str(file))
        return opened.read()


def _without_waiting(path: str, how: int) -> int:
    return os.open(path, how | getattr(os, "O_NONBLOCK", 0))


def gzipped(data: bytes) -> int:
    """The bytes of a file after gzip at its default level, as web servers use it."""
    # The highest level takes sixteen times as long for a dense file that is mostly zeros.
    return len(gzip.compress(data, 6))


def _encoded(graph: Graph) -> list[tuple[int, int, int]]:
    """`(decoded, mask, table)` tensors of the operators that decode weights at each run."""
    decoders = [op for op in graph.subgraph.operators if graph.name(op) == bitmask.DECODE]
    trios = {
        graph.output(operator, i): (graph.input(operator, 2 * i), graph.input(operator, 2 * i + 1))
        for operator in decoders
        for i in range(min(len(operator.outputs), len(operator.inputs) // 2))
    }
    return [(output, *pair) for output, pair in trios.items()]
