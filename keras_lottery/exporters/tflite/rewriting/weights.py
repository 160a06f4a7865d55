"""The weights of a TFLite model that can be stored in another form: `find(model) -> [Weight]`."""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph

# Operators that take their weights from a DENSIFY or DEQUANTIZE operator in every runtime: the
# position of the weights among their inputs, the axis of the output channels, and the position of
# the bias. The last two have no axis, and keep their precision: XNNPACK does not compute them, but
# would take over the first of a DENSIFY and a DEQUANTIZE before them, whose output they then miss.
OPERATORS = {
    "FULLY_CONNECTED": (1, 0, 2),
    "CONV_2D": (1, 0, 2),
    "DEPTHWISE_CONV_2D": (1, 3, 2),
    "TRANSPOSE_CONV": (1, 0, 3),
    "CONV_3D": (1, None, None),
    "GATHER": (0, None, None),
}


@dataclass(frozen=True)
class Weight:
    """A constant weight and where it is used.

    Attributes:
        subgraph: The subgraph it is in.
        index: Its tensor's index there.
        axis: The axis of its output channels; `None` if it has to stay float32.
        bias: The position of the bias among the inputs of its operators, if they can have one.
        values: Its values.
        operators: `(name, operator)` for every operator that reads it.
    """

    subgraph: schema.SubGraphT
    index: int
    axis: int | None
    bias: int | None
    values: np.ndarray
    operators: tuple[tuple[str, schema.OperatorT], ...]

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
            ((place, axis, bias),) = places
            if all(list(op.inputs).index(index) == place for _, op in users):
                values = flatbuffer.dense(model, tensor)
                found.append(Weight(subgraph, index, axis, bias, values, tuple(users)))
    return found
