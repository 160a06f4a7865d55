"""`sentence(source, integers) -> str`: names the layer in which full integers lose most."""

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion import names
from keras_lottery.exporters.tflite.conversion.source import Source
from keras_lottery.exporters.tflite.format import flatbuffer, levels

# A few examples show where errors come from.
_EXAMPLES = 4


def sentence(source: Source, integers: bytes) -> str:
    """Says where a file of integers loses most.

    Args:
        source: The `Source`.
        integers: The same model in full integers, a flatbuffer whose tensors have the names of
            `source.dense_data`, as `integer.quantized` leaves them.

    Returns:
        A sentence that names the layer; "" if no tensor can be compared.
    """
    integer_outputs, float_outputs = _tensors(integers, source), _tensors(source.dense_data, source)
    errors = {
        name: _error(integer_outputs[name], float_outputs[name])
        for name in integer_outputs.keys() & float_outputs.keys()
        if float_outputs[name].dtype.kind == "f" and np.ptp(float_outputs[name]) > 0
    }
    file = flatbuffer.read(integers)
    main = file.subgraphs[0]
    worst = ("", 0.0, 0.0)
    for operator in main.operators:
        name = levels.name(main.tensors[operator.outputs[0]])
        inputs = [levels.name(main.tensors[i]) for i in operator.inputs if i >= 0]
        before = max((errors.get(each, 0.0) for each in inputs), default=0.0)
        # A tensor that the other file does not name is taken to be as far off as its inputs.
        after = errors.setdefault(name, before)
        if after - before > worst[1] - worst[2]:
            worst = name, after, before
    name, after, before = worst
    if not name:
        return ""
    layer = names.layer_of(name, source.layers)
    where = f"the layer {layer!r}" if layer else repr(name)
    return (
        f"Most of it is lost in {where}: the channels of its output are off by {after:.0%} of "
        f"their range on average, those of its inputs by {before:.0%}. target='size' computes in "
        "float32, also with int8 weights."
    )


def _error(got: np.ndarray, wanted: np.ndarray) -> float:
    """The mean error of the channels, each a fraction of its range and at most 1."""
    if got.shape != wanted.shape:
        return 0.0
    got, wanted = (each.reshape(-1, each.shape[-1]) for each in (got, wanted))
    ranges, errors = np.ptp(wanted, axis=0), np.abs(got - wanted).max(axis=0)
    alive = ranges > 0
    return float(np.minimum(errors[alive] / ranges[alive], 1).mean()) if alive.any() else 0.0


def _tensors(data: bytes, source: Source) -> dict[str, np.ndarray]:
    """Name -> real values of every tensor that is computed, on a few examples."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from keras_lottery.exporters.tflite.runtimes import interpreter as runtime

    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    file = flatbuffer.read(data)
    main = file.subgraphs[0]
    found: dict[str, list[np.ndarray]] = {}
    arrays = keras.tree.flatten(source.compared())
    for first in range(0, min(_EXAMPLES, len(arrays[0])), source.batch):
        chosen = np.minimum(np.arange(first, first + source.batch), len(arrays[0]) - 1)
        for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
            stored = runtime.stored(array[chosen], detail["dtype"], *detail["quantization"])
            interpreter.set_tensor(detail["index"], stored)
        interpreter.invoke()
        for operator in main.operators:
            for index in operator.outputs[operator.outputs >= 0]:
                tensor = main.tensors[index]
                if tensor.type in (schema.TensorType.FLOAT32, schema.TensorType.INT8):
                    scale = _scale(tensor)
                    values = runtime.real(interpreter.get_tensor(int(index)), *scale)
                    found.setdefault(levels.name(tensor), []).append(values)
    return {name: np.stack(values) for name, values in found.items()}


def _scale(tensor: schema.TensorT) -> tuple[float, int]:
    parameters = tensor.quantization
    if parameters is None or parameters.scale is None or not np.size(parameters.scale):
        return 0.0, 0
    return float(parameters.scale[0]), int(parameters.zeroPoint[0])
