"""`for_batch(data, batch) -> bytes`: turns a file of open batch into one of a fixed batch.

A file of open batch computes its shapes as it runs. That costs time, keeps delegates away and takes
operators that TensorFlow Lite Micro lacks. For a batch of known size every shape is known, and a
tensor that follows from shapes alone is a constant.
"""

from typing import Any

import numpy as np

from keras_lottery.exporters.tflite.format import edit, flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph


def for_batch(data: bytes, batch: int = 1) -> bytes:
    """Fixes every shape in a file for a batch of a known size.

    Args:
        data: A dense flatbuffer whose batch may be open.
        batch: How many examples the batch has.

    Returns:
        A flatbuffer that computes the same for that many examples.
    """
    file = flatbuffer.read(data)
    main = file.subgraphs[0]
    graph, interpreter = Graph(file, main), _after_one_run(data, batch)
    known = {index for index in range(len(main.tensors)) if graph.is_constant(index)} | {-1}
    kept = []
    for operator in main.operators:
        constant = len(operator.inputs) and known.issuperset(operator.inputs)
        if graph.name(operator) == "SHAPE" or constant:
            known.update(operator.outputs)
            for index in operator.outputs:
                main.tensors[index].buffer = edit.add_buffer(file, interpreter.get_tensor(index))
        else:
            kept.append(operator)
    main.operators = kept
    shapes = {each["index"]: each["shape"] for each in interpreter.get_tensor_details()}
    for index, tensor in enumerate(main.tensors):
        tensor.shape, tensor.shapeSignature = shapes[index], None
    edit.drop_tensors(main)
    edit.share_buffers(file)
    return flatbuffer.write(file)


def _after_one_run(data: bytes, batch: int) -> Any:
    """An interpreter that holds all that the file computes from zeros."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], (batch, *detail["shape"][1:]))
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    interpreter.invoke()
    return interpreter
