"""The target `int8`: weights and activations in 8-bit integers, sparse weights stored sparsely.

TensorFlow's converter quantises on representative examples. Its integers are then stored sparsely
as by the target `size`, except that a fully connected operator becomes a convolution: XNNPACK does
not accept one whose int8 weights are unpacked by an operator.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion import convert
from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import encoding, flatbuffer, levels, signatures
from keras_lottery.exporters.tflite.rewriting import dense_as_conv, forms, quantize, rewritable
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight
from keras_lottery.exporters.tflite.targets import size

# A value of a bias, and its scale and zero point.
_BIAS_BYTES = 4 + forms.SCALE_BYTES


@dataclass(frozen=True)
class SmallestEncoding:
    """The way to store one int8 weight that takes the fewest bytes.

    Attributes:
        values: The values in the shape that they are stored in.
        plan: How they are stored sparsely; `None` for densely.
        bytes: The most bytes that the weight takes, with the operators that unpack it.
        reason: Why the weight is stored so.
    """

    values: np.ndarray
    plan: encoding.Plan | None
    bytes: float
    reason: str


def quantized(source: Source, kind: str = "float32") -> schema.ModelT:
    """Converts a model to full integers, densely.

    Args:
        source: A `Source` with real samples, on which activations are calibrated.
        kind: The type of the file's inputs and outputs, `"float32"` or `"int8"`.

    Returns:
        The `ModelT`, its inputs, outputs and constants named as in `source.dense_data`.

    Raises:
        ExportError: An operation has no integer form, or the samples leave rows of a table unused.
        ValueError: There are no real samples.
    """
    if not source.real:
        raise ValueError("This target quantises activations: pass `samples`, real inputs.")
    dense_file = flatbuffer.read(source.dense_data)
    check_loops(source, dense_file)
    import tensorflow as tf

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _batches(source.calibrating(), source.batch)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(kind)

    file = flatbuffer.read(convert.convert(source.model, source.signature, configure))
    _name(file, dense_file)
    _check_tables(file, dense_file)
    return file


def check_loops(source: Source, dense_file: schema.ModelT) -> None:
    """Raises `ExportError` if a model has a loop."""
    if len(dense_file.subgraphs) > 1:
        # TensorFlow's calibration ends the whole process at a loop.
        raise ExportError(
            f"TensorFlow cannot quantise {source.model.name!r}, which has a loop: build its "
            "recurrent layers with unroll=True."
        )


def build(
    source: Source, precision: str, better: Mapping[str, str] = MappingProxyType({})
) -> Built:
    """Builds the smallest full integer file that LiteRT loads; see `quantized` and `encode`.

    Args:
        source: The `Source`, with real samples.
        precision: `"int8"`.
        better: Empty: in full integers there is no other precision.

    Returns:
        A `Built`.
    """
    return built(quantized(source), encode)


def built(file: schema.ModelT, encode: Callable[[schema.ModelT], dict[str, str]]) -> Built:
    """Builds a full integer file.

    Args:
        file: The `ModelT` that `quantized` returned, changed in place.
        encode: Stores the weights of a file sparsely, in place, and says why.

    Returns:
        A `Built`, stored densely if that is smaller.
    """
    dense_data = flatbuffer.write(file)
    reasons = encode(file)
    sparse = Built(flatbuffer.write(file), reasons, "full_int8", dense_data)
    return size.smaller(sparse, dense_data)


def encode(file: schema.ModelT) -> dict[str, str]:
    """Stores the int8 weights of a file in the fewest bytes.

    Args:
        file: A dense full integer `ModelT`, changed in place.

    Returns:
        `dict`: tensor name -> why the tensor is stored as it is.
    """
    reasons = {}
    for weight in rewritable.find(file, schema.TensorType.INT8):
        choice = choose(weight)
        reasons[levels.name(weight.tensor)] = choice.reason
        if choice.plan is None:
            continue
        for operator in _connected(weight):
            dense_as_conv.rewrite(file, weight.subgraph, operator, choice.values.shape)
        forms.densify(file, weight.subgraph, weight.index, choice.values, choice.plan)
    size.finish(file)
    return reasons


def choose(weight: Weight) -> SmallestEncoding:
    """Chooses the way to store one weight that takes the fewest bytes.

    Args:
        weight: A `Weight` of int8 values.

    Returns:
        A `SmallestEncoding`.
    """
    values, connected = weight.values, _connected(weight)
    cost = forms.SPARSITY_BYTES + forms.OPERATOR_BYTES
    if connected:
        values = values.reshape(dense_as_conv.kernel_shape(values.shape))
        cost += sum(dense_as_conv.cost(op, len(values), _BIAS_BYTES) for op in connected)
    plan = encoding.cheapest(values, itemsize=1)
    dense_bytes, sparse = values.nbytes, plan.bytes + cost
    said = forms.described(plan.bytes, sparse)
    if sparse >= dense_bytes:
        reason = f"{dense_bytes:,} bytes, against {said} stored sparsely"
        return SmallestEncoding(weight.values, None, dense_bytes, reason)
    reason = f"{said}, against {dense_bytes:,} bytes stored densely"
    if connected:
        reason += "; as a convolution, which alone XNNPACK unpacks from int8"
    return SmallestEncoding(values, plan, sparse, reason)


def _connected(weight: Weight) -> list[schema.OperatorT]:
    return [operator for name, operator in weight.operators if name == "FULLY_CONNECTED"]


def _batches(samples: Any, size: int) -> Iterator[list[np.ndarray]]:
    """Samples as TensorFlow's calibration takes them; the last example fills the last batch up."""
    arrays = keras.tree.flatten(samples)
    count = len(arrays[0])
    for start in range(0, count, size):
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        yield [array[chosen] for array in arrays]


def _name(file: schema.ModelT, dense_file: schema.ModelT) -> None:
    """Gives inputs, outputs and constants the names that they have in the float32 file."""
    for subgraph in file.subgraphs:
        for tensor in subgraph.tensors:
            tensor.name = levels.name(tensor).encode()
    own_graph, dense_graph = file.subgraphs[0], dense_file.subgraphs[0]
    for ends, named in (
        (own_graph.inputs, dense_graph.inputs),
        (own_graph.outputs, dense_graph.outputs),
    ):
        for end, other in zip(ends, named, strict=True):
            own_graph.tensors[end].name = dense_graph.tensors[other].name
    signatures.sign_like(file, dense_file)
    floats = [
        (levels.name(tensor), flatbuffer.values(dense_file, tensor))
        for _, _, tensor in flatbuffer.constants(dense_file)
        if tensor.type == schema.TensorType.FLOAT32
    ]
    for _, _, tensor in flatbuffer.constants(file):
        # A constant that the float32 file lacks keeps no name of the converter's.
        tensor.name = None
        if tensor.type not in (schema.TensorType.FLOAT32, schema.TensorType.INT8):
            continue
        values = flatbuffer.values(file, tensor)
        step: np.ndarray | float = 0.0
        if tensor.type == schema.TensorType.INT8:
            values, step = quantize.restored(values, tensor.quantization)
        for position, (name, wanted) in enumerate(floats):
            if wanted.shape == values.shape and _is_rounded(values, wanted, step):
                tensor.name = name.encode()
                del floats[position]
                break


def _check_tables(file: schema.ModelT, dense_file: schema.ModelT) -> None:
    """Raises `ExportError` if TensorFlow clipped rows of a table that no sample looks up."""
    kept = {levels.name(tensor) for _, _, tensor in flatbuffer.constants(file)}
    for weight in rewritable.find(dense_file):
        name = levels.name(weight.tensor)
        if name not in kept and {kind for kind, _ in weight.operators} == {"GATHER"}:
            raise ExportError(
                f"The samples do not look up every row of {name!r}, and TensorFlow clips those of "
                "larger values to the others' range: pass samples that do."
            )


def _is_rounded(values: np.ndarray, wanted: np.ndarray, step: np.ndarray | float) -> bool:
    return bool((np.abs(values - wanted) <= quantize.HALF_A_STEP * step).all())
