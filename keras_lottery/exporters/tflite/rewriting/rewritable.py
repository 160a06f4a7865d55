"""The weights of a file that can be stored in another form: `find(file) -> [Weight]`."""

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
        precisions: The precisions that the weights may be stored in.
    """

    weight: int
    axis: int | None = None
    bias: int | None = None
    precisions: tuple[str, ...] = _ALL


# XNNPACK runs neither CONV_3D nor GATHER. But if a DENSIFY and a DEQUANTIZE stand before them,
# XNNPACK takes over the first of the two, and its output is then missing: so no DEQUANTIZE stands
# there. GATHER can look up rows of int8, which are dequantized after it.
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
    """A constant weight and the operators that read it.

    Attributes:
        subgraph: The subgraph it is in.
        index: Its tensor's index there.
        axis: The axis of its output channels; `None` if they cannot have a scale each.
        bias: The position of the bias among the inputs of its operators, if they can have one.
        precisions: The precisions that it can be stored in.
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
    def is_table(self) -> bool:
        """Whether operators look its rows up, and read it no other way."""
        return {name for name, _ in self.operators} == {"GATHER"}

    def precision(self, lowest: str) -> str:
        """The precision `lowest` if the weight can be stored in it, else float32."""
        return lowest if lowest in self.precisions else "float32"

    @property
    def tensor(self) -> schema.TensorT:
        """The schema's tensor."""
        return self.subgraph.tensors[self.index]


def find(file: schema.ModelT, kind: int = schema.TensorType.FLOAT32) -> list[Weight]:
    """The constants of a file that operators read as weights, and not otherwise.

    Args:
        file: A dense `ModelT`.
        kind: The `schema.TensorType` of the weights to find.

    Returns:
        A list of `Weight`.
    """
    found = []
    for subgraph in file.subgraphs:
        graph = Graph(file, subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            users = [(graph.name(op), op) for op in graph.consumers.get(index, [])]
            places = {OPERATORS.get(name) for name, _ in users}
            if tensor.type != kind or not graph.is_constant(index) or len(places) != 1:
                continue
            [place] = places
            if place is None or index in subgraph.outputs:
                continue
            if all(list(op.inputs).index(index) == place.weight for _, op in users):
                found.append(
                    Weight(
                        subgraph,
                        index,
                        place.axis,
                        place.bias,
                        place.precisions,
                        flatbuffer.values(file, tensor),
                        tuple(users),
                    )
                )
    return found
