"""Reads any `.tflite` file: what its weights cost, how they are computed, and what is wrong."""

import gzip
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from keras_lottery.exporters.tflite import stored_weight
from keras_lottery.exporters.tflite.format import bitmask, flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.runtimes import defects, xnnpack
from keras_lottery.exporters.tflite.runtimes.defects import Defect
from keras_lottery.exporters.tflite.runtimes.xnnpack import SparsePath
from keras_lottery.exporters.tflite.stored_weight import StoredWeight


@dataclass(frozen=True)
class Inspection:
    """What a `.tflite` file holds.

    Attributes:
        weights: Every kernel and table of the network, in the order of the file.
        other_bytes: Bytes of the other constants: biases, shapes.
        file_bytes: Bytes of the file.
        gzip_bytes: Bytes of the file after gzip; see `gzipped`.
        operators: How often each operator occurs.
        defects: What a runtime would compute wrongly or refuse.
        sparse_path: What XNNPACK makes of the 1x1 convolutions; None where there are none.
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
        """The entropy bound of the weights, with the other constants as they are."""
        return self.other_bytes + sum(w.entropy_bytes for w in self.weights)

    @property
    def dense_bytes(self) -> int:
        """About what the file would weigh with every weight stored densely, in its own type."""
        saved = sum(w.dense_bytes - w.stored_bytes for w in self.weights)
        return self.file_bytes + saved

    @property
    def sparsity(self) -> float:
        """The fraction of zeros in all weights together."""
        sizes = [math.prod(w.shape) for w in self.weights]
        zeros = [w.sparsity * size for w, size in zip(self.weights, sizes, strict=True)]
        return sum(zeros) / sum(sizes) if sum(sizes) else 0.0


def inspect(file: str | PathLike | bytes) -> Inspection:
    """Analyses a `.tflite` file, whoever made it.

    Args:
        file: Its path, or its bytes.

    Returns:
        An `Inspection`.

    Raises:
        FlatbufferError: It is no such file, or a damaged one.
        OSError: It cannot be read.

    Example:

    >>> inspect(b"GIF89a, or anything else")
    Traceback (most recent call last):
    ...
    keras_lottery.exporters.tflite.errors.FlatbufferError: Not a TensorFlow Lite file: it has
    b'9a, ' where b'TFL3' belongs.
    """
    data = Path(file).read_bytes() if isinstance(file, (str, PathLike)) else file
    model = flatbuffer.read(data)
    sparse_path = xnnpack.sparse_path(model)
    weights, found, names, other_bytes = [], [], [], 0
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph)
        names += [graph.name(operator) for operator in subgraph.operators]
        encoded = _encoded(graph)
        weights += [stored_weight.decoded(graph, *pair) for pair in encoded]
        parts = {index for pair in encoded for index in pair[1:]}
        for index, tensor in enumerate(subgraph.tensors):
            if index in parts or not (graph.is_constant(index) or tensor.sparsity):
                continue
            if not stored_weight.is_weight(graph, index):
                other_bytes += flatbuffer.length(model.buffers[tensor.buffer])
                continue
            weights.append(stored_weight.of(graph, index, sparse_path))
            if tensor.sparsity is not None:
                found += [d for d in defects.find(graph, index) if d not in found]
    return Inspection(
        weights=tuple(weights),
        other_bytes=other_bytes,
        file_bytes=len(data),
        gzip_bytes=gzipped(data),
        operators={name: names.count(name) for name in sorted(set(names))},
        defects=tuple(found),
        sparse_path=sparse_path,
    )


def gzipped(data: bytes) -> int:
    """The bytes of a file after gzip at its default level, as web servers use it."""
    # The highest level takes sixteen times as long for a dense file that is mostly zeros.
    return len(gzip.compress(data, 6))


def _encoded(graph):
    """`(decoded, mask, table)` tensors of the operators that decode weights at each run."""
    decoders = [op for op in graph.subgraph.operators if graph.name(op) == bitmask.DECODE]
    return [
        (int(operator.outputs[i]), graph.input(operator, 2 * i), graph.input(operator, 2 * i + 1))
        for operator in decoders
        for i in range(min(len(operator.outputs), len(operator.inputs) // 2))
    ]
