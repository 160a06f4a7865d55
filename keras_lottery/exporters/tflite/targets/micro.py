"""The target `micro`: full integers for TensorFlow Lite Micro, sparse weights as a bitmask.

That runtime has no sparse kernel and ignores sparsity parameters. But it has an operator of its own
that decodes a weight each time it is used: from one bit for every weight, and the values that are
not zero. A weight is stored so if that is smaller, and densely otherwise.
"""

import importlib.util
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion import names
from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import edit, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import bitmask, forms, rewritable
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight
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

# Operators that it knows under another name only: code and options of the other.
_SAME = {"SELECT": (schema.BuiltinOperator.SELECT_V2, schema.SelectV2OptionsT)}


def build(
    source: Source, precision: str, better: Mapping[str, str] = MappingProxyType({})
) -> Built:
    """Builds the smallest full integer file for TensorFlow Lite Micro; see `encode`.

    Args:
        source: The `Source`, with real samples.
        precision: `"int8"`.
        better: Empty: in full integers there is no other precision.

    Returns:
        A `Built`.
    """
    file = integer.quantized(source, "int8")
    check_operators(file, source.layers)
    rename_operators(file)
    return integer.built(file, encode)


def is_installed() -> bool:
    """Whether the runtime's Python interpreter is installed, which proves files."""
    return importlib.util.find_spec("tflite_micro") is not None


def check_operators(file: schema.ModelT, layers: Mapping[str, str]) -> None:
    """Checks that the runtime has every operator of a file.

    Args:
        file: The `ModelT`, its tensors named.
        layers: The names of the layers in Keras -> in the file, see `names.of_layers`.

    Raises:
        ExportError: It lacks some. The message names them, each with a layer that needs it.
    """
    lacking: dict[str, str] = {}
    for subgraph in file.subgraphs:
        graph = Graph(file, subgraph)
        for operator in subgraph.operators:
            name = graph.name(operator)
            if name not in OPERATORS and name not in _SAME:
                lacking.setdefault(name, levels.name(subgraph.tensors[operator.outputs[0]]))
    if lacking:
        each = [f"{name}, which {_needing(path, layers)}" for name, path in lacking.items()]
        raise ExportError(f"TensorFlow Lite Micro lacks {', and '.join(each)}.")


def _needing(path: str, layers: Mapping[str, str]) -> str:
    layer = names.layer_of(path, layers)
    return f"the layer {layer!r} needs" if layer else f"computes {path!r}"


def rename_operators(file: schema.ModelT) -> None:
    """Replaces operators that the runtime knows under another name.

    Args:
        file: The `ModelT`, changed in place. A condition with one value for each row of its
            operands gets their rank, because the other operator broadcasts it.
    """
    for subgraph in file.subgraphs:
        graph = Graph(file, subgraph)
        for operator in [each for each in subgraph.operators if graph.name(each) in _SAME]:
            builtin, options = _SAME[graph.name(operator)]
            condition, whole = (levels.shape(graph.tensor(i)) for i in operator.inputs[:2])
            if len(condition) == 1 < len(whole):
                _give_rank(file, subgraph, operator, len(whole))
            operator.opcodeIndex = edit.operator_code(file, builtin, version=1)
            operator.builtinOptions = options()
            kind = options.__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)


def _give_rank(
    file: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT, rank: int
) -> None:
    condition = int(operator.inputs[0])
    (rows,), shape = levels.shape(subgraph.tensors[condition]), [1] * (rank - 1)
    column = edit.add_tensor(file, subgraph, (rows, *shape), schema.TensorType.BOOL)
    options = schema.ReshapeOptionsT()
    options.newShape = [rows, *shape]
    builtin = schema.BuiltinOperator.RESHAPE
    reshape = edit.operator(file, builtin, [condition], [column], options=options)
    subgraph.operators.insert(subgraph.operators.index(operator), reshape)
    operator.inputs = np.array([column, *operator.inputs[1:]], np.int32)


def encode(file: schema.ModelT) -> dict[str, str]:
    """Stores the int8 weights of a file in the fewest bytes.

    Args:
        file: A dense full integer `ModelT` whose operators the runtime has, changed in place.

    Returns:
        `dict`: tensor name -> why the tensor is stored as it is.
    """
    size.finish(file)
    reasons = {}
    for weight in rewritable.find(file, schema.TensorType.INT8):
        name, cost = levels.name(weight.tensor), bitmask.cost(weight)
        dense_bytes = weight.values.nbytes
        if np.any(weight.tensor.quantization.zeroPoint):
            # The runtime would fill the gaps with the integer zero.
            reasons[name] = f"{dense_bytes:,} bytes; its zero is not stored as zero"
        elif cost < dense_bytes:
            bitmask.write(file, weight)
            reasons[name] = (
                f"{_described(weight, cost)}, against {dense_bytes:,} bytes stored densely"
            )
        else:
            reasons[name] = (
                f"{dense_bytes:,} bytes, against {_described(weight, cost)} as a bitmask"
            )
    edit.share_buffers(file)
    return reasons


def _described(weight: Weight, cost: int) -> str:
    return forms.described(bitmask.stored_bytes(weight), cost)
