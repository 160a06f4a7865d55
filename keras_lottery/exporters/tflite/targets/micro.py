"""The target `micro`: full integers for TensorFlow Lite Micro, sparse weights as a bitmask.

That runtime has no sparse kernel and ignores sparsity parameters, but it has an operator of its own
that decodes a weight each time it is used: one bit for every weight, then the values of those that
are not zero. A weight is stored so where that is smaller, and densely otherwise.
"""

import importlib.util

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import bitmask, edit, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import storage, weights
from keras_lottery.exporters.tflite.targets import integer, size

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
    return integer.built(origin, "int8", encode)


def is_installed():
    """Whether the runtime's Python interpreter is there to prove files with."""
    return importlib.util.find_spec("tflite_micro") is not None


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
        name, dense, cost = levels.title(weight.tensor), weight.values.nbytes, bitmask.cost(weight)
        if np.any(weight.tensor.quantization.zeroPoint):
            # The runtime would fill the gaps with it.
            reasons[name] = f"{dense:,} bytes; its zero is not stored as zero"
        elif cost < dense:
            bitmask.store(model, weight)
            stored = bitmask.stored_bytes(weight)
            reasons[name] = storage.against(stored, cost, dense, "stored densely")
        else:
            reasons[name] = f"{dense:,} bytes, against {cost:,} as a bitmask"
    edit.share_buffers(model)
    return reasons
