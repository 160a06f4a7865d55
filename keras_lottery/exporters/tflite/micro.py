"""The target `micro`: full integers for TensorFlow Lite Micro, sparse weights as a bitmask.

That runtime has no sparse kernel and ignores sparsity parameters, but it has an operator of its own
that decodes a weight each time it is used: one bit for every weight, then the values of those that
are not zero. A weight is stored so where that is smaller, and densely otherwise.
"""

import importlib.util

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite import edit, flatbuffer, integer, levels, size, weights
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.graph import Graph
from keras_lottery.exporters.tflite.source import Built

DECODE = "TFLM_DECODE"

# The head of the operator's second input: its kind (pruned), the version of the head, two bytes
# unused, the version of the kind, and more of no use.
HEAD = np.array([2, 1, 0, 0, 1] + [0] * 11, np.uint8)

# What the operator, its code and its tensors add to a file at most; measured by the tests.
_DECODE_BYTES = 280

# The built-in operators of its Python interpreter, the smallest of its usual sets, in October 2026.
OPERATORS = frozenset(
    """ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM
    DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP
    EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND
    GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL
    LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAX_POOL_2D MAXIMUM MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL
    REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2
    ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V
    SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
    TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE""".split()
)


def build(origin, precision):
    """Builds the smallest full integer file for TensorFlow Lite Micro; see `encode`.

    Args:
        origin: The `Source`, with real samples.
        precision: `"int8"`.

    Returns:
        A `Built`.
    """
    model = integer.quantized(origin, kind="int8")
    dense = flatbuffer.write(model)
    reasons = encode(model)
    return Built(flatbuffer.write(model), reasons, "integers", dense)


def is_installed():
    """Whether the runtime's Python interpreter is there to prove files with."""
    return importlib.util.find_spec("tflite_micro") is not None


def undecoded(data):
    """The same file with its bitmasks decoded: what LiteRT can run, too.

    Args:
        data: A flatbuffer.

    Returns:
        A flatbuffer; `data` itself if it has none.
    """
    model = flatbuffer.read(data)
    decoders = [
        (subgraph, operator)
        for subgraph in model.subgraphs
        for operator in subgraph.operators
        if model.operatorCodes[operator.opcodeIndex].customCode == DECODE.encode()
    ]
    if not decoders:
        return data
    for subgraph, operator in decoders:
        tensor = subgraph.tensors[operator.outputs[0]]
        mask, table = (
            flatbuffer.stored(model, subgraph.tensors[index]) for index in operator.inputs
        )
        values = np.zeros(levels.size(tensor), np.int8)
        alive = np.unpackbits(mask, count=values.size).astype(bool)
        values[alive] = table[HEAD.size :].view(np.int8)
        tensor.buffer = edit.add_buffer(model, values)
        subgraph.operators.remove(operator)
    return flatbuffer.write(model)


def check_operators(model):
    """Raises `ExportError` naming the first operator that the runtime lacks."""
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph)
        for operator in subgraph.operators:
            name = graph.name(operator)
            if name not in OPERATORS:
                output = levels.title(subgraph.tensors[operator.outputs[0]])
                raise ExportError(f"TensorFlow Lite Micro lacks {name}, which computes {output!r}.")


def encode(model):
    """Stores the int8 weights of a model in the fewest bytes.

    Args:
        model: A dense full integer `ModelT`, changed in place.

    Returns:
        `dict`: tensor name -> why it is stored as it is.
    """
    check_operators(model)
    size.finish(model)
    reasons = {}
    for weight in weights.find(model, schema.TensorType.INT8):
        name, dense, cost = levels.title(weight.tensor), weight.values.nbytes, bitmask_bytes(weight)
        if np.any(weight.tensor.quantization.zeroPoint):
            # The runtime would fill the gaps with it.
            reasons[name] = f"{dense:,} bytes; its zero is not stored as zero"
        elif cost < dense:
            _decode(model, weight)
            reasons[name] = f"{cost:,} bytes, against {dense:,} stored densely"
        else:
            reasons[name] = f"{dense:,} bytes, against {cost:,} as a bitmask"
    edit.share_buffers(model)
    return reasons


def bitmask_bytes(weight):
    """What an int8 weight takes at most as a bitmask, with the operators that decode it."""
    live = np.count_nonzero(weight.values)
    return -(-weight.values.size // 8) + live + _DECODE_BYTES * len(weight.operators)


def _decode(model, weight):
    """Puts a decoding operator before each that reads the weight.

    Each has its own: the runtime may reuse the memory of one's output for the next one's.
    """
    subgraph, tensor, values = weight.subgraph, weight.tensor, weight.values.reshape(-1)
    mask = np.packbits(values != 0)
    table = np.concatenate([HEAD, values[values != 0].view(np.uint8)])
    sources = [
        edit.add_tensor(model, subgraph, each.shape, schema.TensorType.UINT8, each)
        for each in (mask, table)
    ]
    tensor.buffer = 0
    for number, (_, reader) in enumerate(weight.operators):
        target = weight.index
        if number:
            target = edit.add_tensor(model, subgraph, tensor.shape, tensor.type)
            subgraph.tensors[target].quantization = tensor.quantization
            reader.inputs = np.where(reader.inputs == weight.index, target, reader.inputs)
        operator = schema.OperatorT()
        operator.opcodeIndex = edit.custom_code(model, DECODE)
        operator.inputs = np.array(sources, np.int32)
        operator.outputs = np.array([target], np.int32)
        subgraph.operators.insert(subgraph.operators.index(reader), operator)
