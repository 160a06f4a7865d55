"""The target `int8`: weights and activations in 8-bit integers, sparse weights stored sparsely.

TensorFlow's converter quantises on representative examples. Its integers are then stored sparsely
as by the target `size`, except that a fully connected operator becomes a convolution: XNNPACK does
not accept one whose int8 weights are unpacked by an operator.
"""

from dataclasses import dataclass

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion import convert
from keras_lottery.exporters.tflite.conversion.source import Built
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import encoding, flatbuffer, levels
from keras_lottery.exporters.tflite.rewriting import dense_as_conv, quantize, storage, weights
from keras_lottery.exporters.tflite.targets import size

# The most examples that activations are calibrated on, where no input may be an index.
_CALIBRATED = 256

# A value of a bias, and its scale and zero point.
_BIAS_BYTES = 4 + storage.SCALE_BYTES


@dataclass(frozen=True)
class Choice:
    """The form of one int8 weight that takes the fewest bytes.

    Attributes:
        values: Its values in the shape that they are stored in.
        plan: How they are stored sparsely, an `encoding.Plan`; `None` for densely.
        bytes: What the weight takes at most, with the operators that unpack it.
        reason: Why it is stored so.
    """

    values: np.ndarray
    plan: encoding.Plan | None
    bytes: float
    reason: str


def quantized(origin, kind="float32"):
    """Converts a model to full integers, densely.

    Args:
        origin: A `source.Source` with real samples, on which activations are calibrated.
        kind: The type of the file's inputs and outputs, `"float32"` or `"int8"`.

    Returns:
        The `ModelT`, its inputs, outputs and constants named as in `origin.dense`.

    Raises:
        ExportError: An operation has no integer form, or the samples leave rows of a table unused.
        ValueError: There are no real samples.
    """
    if not origin.real:
        raise ValueError("This target quantises activations: pass `samples`, real inputs.")
    dense = flatbuffer.read(origin.dense)
    check_loops(origin, dense)
    import tensorflow as tf

    def configure(converter):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _examples(origin.samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(kind)

    model = flatbuffer.read(convert.convert(origin.model, origin.signature, configure))
    _name(model, dense)
    _check_tables(model, dense)
    return model


def check_loops(origin, dense):
    """Raises `ExportError` if a model has a loop."""
    if len(dense.subgraphs) > 1:
        # TensorFlow's calibration does not survive one: the whole process ends.
        raise ExportError(
            f"TensorFlow cannot quantise {origin.model.name!r}, which has a loop: build its "
            "recurrent layers with unroll=True."
        )


def build(origin, precision):
    """Builds the smallest full integer file that LiteRT loads; see `quantized` and `encode`.

    Args:
        origin: The `Source`, with real samples.
        precision: `"int8"`.

    Returns:
        A `Built`.
    """
    return built(origin, "float32", encode)


def built(origin, kind, encode):
    """Builds a full integer file.

    Args:
        origin: The `Source`, with real samples.
        kind: As of `quantized`.
        encode: Stores the weights of a dense `ModelT` sparsely, in place, and says why.

    Returns:
        A `Built`, dense where that is smaller.
    """
    model = quantized(origin, kind)
    dense = flatbuffer.write(model)
    reasons = encode(model)
    return size.smaller(Built(flatbuffer.write(model), reasons, "integers", dense), dense)


def encode(model):
    """Stores the int8 weights of a model in the fewest bytes.

    Args:
        model: A dense full integer `ModelT`, changed in place.

    Returns:
        `dict`: tensor name -> why it is stored as it is.
    """
    reasons = {}
    for weight in weights.find(model, schema.TensorType.INT8):
        choice = choose(weight)
        reasons[levels.title(weight.tensor)] = choice.reason
        if choice.plan is None:
            continue
        for operator in _connected(weight):
            dense_as_conv.rewrite(model, weight.subgraph, operator, choice.values.shape)
        storage.densify(model, weight.subgraph, weight.index, choice.values, choice.plan)
    size.finish(model)
    return reasons


def choose(weight):
    """The form of one weight that takes the fewest bytes.

    Args:
        weight: A `weights.Weight` of int8 values.

    Returns:
        A `Choice`.
    """
    values, connected = weight.values, _connected(weight)
    cost = storage.SPARSITY_BYTES + storage.OPERATOR_BYTES
    if connected:
        values = values.reshape(dense_as_conv.kernel_shape(values.shape))
        cost += sum(dense_as_conv.cost(op, len(values), _BIAS_BYTES) for op in connected)
    plan = encoding.cheapest(values, itemsize=1)
    dense, sparse = values.nbytes, plan.bytes + cost
    if sparse >= dense:
        reason = f"{dense:,} bytes, against {sparse:,} stored sparsely"
        return Choice(weight.values, None, dense, reason)
    reason = storage.against(plan.bytes, sparse, dense, "stored densely")
    if connected:
        reason += "; as a convolution, which alone XNNPACK unpacks from int8"
    return Choice(values, plan, sparse, reason)


def _connected(weight):
    return [operator for name, operator in weight.operators if name == "FULLY_CONNECTED"]


def _examples(samples):
    arrays = keras.tree.flatten(samples)
    # A table's range is that of the rows looked up.
    looks_up = any(array.dtype.kind in "iu" for array in arrays)
    for example in range(len(arrays[0]) if looks_up else min(len(arrays[0]), _CALIBRATED)):
        yield [array[example : example + 1] for array in arrays]


def _name(model, dense):
    """Names what is that of the float32 model, or is rounded from it, as it is named there."""
    ours, theirs = model.subgraphs[0], dense.subgraphs[0]
    for ends, named in ((ours.inputs, theirs.inputs), (ours.outputs, theirs.outputs)):
        for end, other in zip(ends, named, strict=True):
            ours.tensors[end].name = theirs.tensors[other].name
    floats = [
        (levels.title(tensor), flatbuffer.dense(dense, tensor))
        for _, _, tensor in flatbuffer.constants(dense)
        if tensor.type == schema.TensorType.FLOAT32
    ]
    for _, _, tensor in flatbuffer.constants(model):
        if tensor.type not in (schema.TensorType.FLOAT32, schema.TensorType.INT8):
            continue
        values, step = flatbuffer.dense(model, tensor), 0.0
        if tensor.type == schema.TensorType.INT8:
            values, step = quantize.restored(values, tensor.quantization)
        for position, (name, wanted) in enumerate(floats):
            if wanted.shape == values.shape and _is_rounded(values, wanted, step):
                tensor.name = name.encode()
                del floats[position]
                break


def _check_tables(model, dense):
    """TensorFlow gives a table the range of what the samples look up, and clips its other rows."""
    kept = {levels.title(tensor) for _, _, tensor in flatbuffer.constants(model)}
    for weight in weights.find(dense):
        name = levels.title(weight.tensor)
        if name not in kept and {kind for kind, _ in weight.operators} == {"GATHER"}:
            raise ExportError(
                f"The samples do not look up every row of {name!r}, and TensorFlow clips those of "
                "larger values to the others' range: pass samples that do."
            )


def _is_rounded(values, wanted, step):
    return (np.abs(values - wanted) <= quantize.HALF_A_STEP * step).all()
