"""`skip(model, subgraph)`: drops the reshapes that nothing needs."""

import numpy as np

from keras_lottery.exporters.tflite.format.graph import Graph


def skip(model, subgraph):
    """Lets what reads its input as a flat list read past a reshape, and drops those nobody reads.

    Flatten before a Dense layer leaves such reshapes, and Dense layers written as convolutions do.

    Args:
        model: The `ModelT`.
        subgraph: One of its subgraphs, changed in place.
    """
    graph = Graph(model, subgraph)
    reshapes = [each for each in subgraph.operators if graph.name(each) == "RESHAPE"]
    for operator in subgraph.operators:
        if _reads_flat(graph, operator):
            first = graph.producer.get(int(operator.inputs[0]))
            if first in reshapes:
                operator.inputs = np.array([first.inputs[0], *operator.inputs[1:]], np.int32)
    read = {int(i) for each in subgraph.operators for i in each.inputs} | set(subgraph.outputs)
    subgraph.operators = [
        each for each in subgraph.operators if each not in reshapes or each.outputs[0] in read
    ]


def _reads_flat(graph, operator):
    """Whether the operator computes the same of an input of any shape with as many values."""
    name = graph.name(operator)
    if name != "FULLY_CONNECTED":
        return name == "RESHAPE"
    # One that keeps the number of axes takes its output's shape from its input's. The kernel for
    # float inputs and int8 weights takes the number of examples from the input's shape.
    source, weight = (graph.tensor(index) for index in operator.inputs[:2])
    return not operator.builtinOptions.keepNumDims and source.type == weight.type
