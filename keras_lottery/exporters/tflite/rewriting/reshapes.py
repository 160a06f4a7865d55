"""`skip(file, subgraph)`: drops the reshapes that nothing needs."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format.graph import Graph


def skip(file: schema.ModelT, subgraph: schema.SubGraphT) -> None:
    """Lets operators that read their input as a flat list skip the reshape, and drops unread ones.

    Flatten before a Dense layer leaves such reshapes, and Dense layers written as convolutions do.

    Args:
        file: The `ModelT`.
        subgraph: One of its subgraphs, changed in place.
    """
    graph = Graph(file, subgraph)
    reshapes = [each for each in subgraph.operators if graph.name(each) == "RESHAPE"]
    for operator in subgraph.operators:
        if _reads_flat(graph, operator):
            first = graph.producer.get(int(operator.inputs[0]))
            if first is not None and first in reshapes:
                operator.inputs = np.array([first.inputs[0], *operator.inputs[1:]], np.int32)
    read = {int(i) for each in subgraph.operators for i in each.inputs} | set(subgraph.outputs)
    subgraph.operators = [
        each for each in subgraph.operators if each not in reshapes or each.outputs[0] in read
    ]


def _reads_flat(graph: Graph, operator: schema.OperatorT) -> bool:
    """Whether the operator computes the same from any shape of the same values."""
    name = graph.name(operator)
    if name != "FULLY_CONNECTED":
        return name == "RESHAPE"
    # With keepNumDims the output's shape follows the input's. The kernel for float inputs and int8
    # weights takes the number of examples from the input's shape.
    read, weight = (graph.tensor(index) for index in operator.inputs[:2])
    return not operator.builtinOptions.keepNumDims and bool(read.type == weight.type)
