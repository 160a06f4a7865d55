"""The weights of a TFLite model that can be stored in another form: `find(model) -> [Weight]`."""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph

_ALL = ("float32", "float16", "int8", "int8 by channel")


@dataclass(frozen=True)
class _Place:
    """How an operator takes weights from a DENSIFY or DEQUANTIZE operator, in every runtime.

    Attributes:
        weight: The position of the weights among its inputs.
        axis: The axis of the output channels, if they may have a scale each.
        bias: The position of the bias, if there is one.
        precisions: What the weights may be stored in.
    """

    weight: int
    axis: int | None = None
    bias: int | None = None
    precisions: tuple[str, ...] = _ALL


# XNNPACK does not compute CONV_3D and GATHER, but takes over the first of a DENSIFY and a
# DEQUANTIZE before them, whose output they then miss: so no DEQUANTIZE there. GATHER can look up
# rows of int8, which are dequantized after it.
OPERATORS = {
    "FULLY_CONNECTED": _Place(1, 0, 2),
    "CONV_2D": _Place(1, 0, 2),
    "DEPTHWISE_CONV_2D": _Place(1, 3, 2),
    "TRANSPOSE_CONV": _Place(1, 0, 3),
    "CONV_3D": _Place(1, precisions=("float32",)),
    "GATHER": _Place(0, precisions=("float32", "int8")),
}


@dataclass(frozen=True)
class Weight:
    """A constant weight and where it is used.

    Attributes:
        subgraph: The subgraph it is in.
        index: Its tensor's index there.
        axis: The axis of its output channels; `None` if they cannot have a scale each.
        bias: The position of the bias among the inputs of its operators, if they can have one.
        precisions: What it can be stored in.
        values: Its values.
        operators: `(name, operator)` for every operator that reads it.
    """

    subgraph: schema.SubGraphT
    index: int
    axis: int | None
    bias: int | None
    precisions: tuple[str, ...]
    values: np.ndarray
    operators: tuple[tuple[str, schema.OperatorT], ...]

    @property
    def is_table(self):
        """Whether its rows are looked up."""
        return {name for name, _ in self.operators} == {"GATHER"}

    def precision(self, lowest):
        """The lowest precision that it can be stored in, where this one is allowed."""
        return lowest if lowest in self.precisions else "float32"

    @property
    def tensor(self):
        """The schema's tensor."""
        return self.subgraph.tensors[self.index]


def find(model, kind=schema.TensorType.FLOAT32):
    """The weights of a model that are used as weights only.

    Args:
        model: A dense `ModelT`.
        kind: The `schema.TensorType` of the weights to find.

    Returns:
        A list of `Weight`.
    """
    found = []
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            users = [(graph.name(op), op) for op in graph.consumers.get(index, [])]
            places = {OPERATORS.get(name) for name, _ in users}
            if tensor.type != kind or not graph.is_constant(index) or len(places) != 1:
                continue
            if None in places or index in subgraph.outputs:
                continue
            [place] = places
            if all(list(op.inputs).index(index) == place.weight for _, op in users):
                found.append(
                    Weight(
                        subgraph,
                        index,
                        place.axis,
                        place.bias,
                        place.precisions,
                        flatbuffer.dense(model, tensor),
                        tuple(users),
                    )
                )
    return found
