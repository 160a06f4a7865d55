"""What part an operator can take in a stretch that XNNPACK computes sparsely; see `xnnpack`."""

from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph

# `((top, bottom), (left, right))`.
_Padding = tuple[tuple[int, int], tuple[int, int]]

# What XNNPACK reduces statically; it has no such form of REDUCE_MAX and the others.
REDUCTIONS = ("MEAN", "SUM")

_UNARY = (
    "ABS CEIL ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC NEG RELU RELU6 RELU_0_TO_1 "
    "RELU_N1_TO_1 ROUND RSQRT SQRT SQUARE TANH"
).split()


def role(
    graph: Graph, operator: schema.OperatorT, padding: _Padding | None
) -> tuple[bool, str | None]:
    """`(whether it opens the stretch, None)`, or `(False, why it is not held channels first)`."""
    name = graph.name(operator)
    output = graph.tensor(graph.output(operator))
    if output.type != schema.TensorType.FLOAT32:
        return False, "it does not compute in float"
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        weights = graph.input(operator, 1)
        if graph.constant_behind(weights) is None:
            return False, f"{name} with weights that are computed"
        if graph.tensor(weights).type != schema.TensorType.FLOAT32:
            return False, "it does not compute in float"
    if name == "CONV_2D":
        return _convolution_role(graph, operator, padding)
    if name == "DEPTHWISE_CONV_2D":
        return False, _depthwise_failure(graph, operator, padding)
    if name in ("ADD", "MUL"):
        return False, _elementwise_failure(graph, operator)
    if name in REDUCTIONS and ends(graph, operator):
        return False, None
    if name in _UNARY or name == "RESIZE_BILINEAR":
        return False, None if len(levels.shape(output)) == 4 else f"{name} of no feature map"
    return False, f"{name} has no channels-first kernel"


def _elementwise_failure(graph: Graph, operator: schema.OperatorT) -> str | None:
    computed = activations(graph, operator)
    if len(computed) < len(operator.inputs):
        return f"{graph.name(operator)} with a constant"
    if {len(levels.shape(graph.tensor(index))) for index in computed} != {4}:
        return f"{graph.name(operator)} of inputs that are not feature maps"
    return None


def _convolution_role(
    graph: Graph, operator: schema.OperatorT, padding: _Padding | None
) -> tuple[bool, str | None]:
    options = graph.options(operator, schema.Conv2DOptionsT)
    _, height, width, channels = _kernel(graph, operator)
    strides = (options.strideH, options.strideW)
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        return False, "a dilated convolution"
    if (height, width) == (1, 1):
        return False, None if strides == (1, 1) else f"a 1x1 convolution of strides {strides}"
    if (height, width, *strides, channels) != (3, 3, 2, 2, 3):
        return False, (
            f"a {height}x{width} convolution of strides {strides} over {channels} channels; beside "
            "1x1 only the first is allowed, 3x3 of stride 2 over 3 channels"
        )
    failure = _padding_failure(options, (height, width), strides, padding)
    return failure is None, failure


def _depthwise_failure(
    graph: Graph, operator: schema.OperatorT, padding: _Padding | None
) -> str | None:
    options = graph.options(operator, schema.DepthwiseConv2DOptionsT)
    _, height, width, _ = _kernel(graph, operator)
    strides = (options.strideH, options.strideW)
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        return "a dilated depthwise convolution"
    if options.depthMultiplier != 1:
        return f"a depthwise convolution with multiplier {options.depthMultiplier}"
    if (height, width) not in ((3, 3), (5, 5)) or strides not in ((1, 1), (2, 2)):
        return f"a {height}x{width} depthwise convolution of strides {strides}"
    return _padding_failure(options, (height, width), strides, padding)


def _padding_failure(
    options: schema.Conv2DOptionsT | schema.DepthwiseConv2DOptionsT,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: _Padding | None,
) -> str | None:
    """Says why the padding of a 3x3 or 5x5 kernel is not symmetric, as it must be."""
    needed = kernel[0] // 2
    if options.padding == schema.Padding.SAME:
        if strides == (1, 1) and padding is None:
            return None
        return (
            f"padding 'same' at stride {strides[0]}, which is not symmetric; "
            f"it needs ZeroPadding2D({needed}) and padding 'valid'"
        )
    found = padding or ((0, 0), (0, 0))
    if found == ((needed, needed), (needed, needed)):
        return None
    return f"padding {found}; it needs {needed} on every side"


def producer(graph: Graph, index: int) -> tuple[schema.OperatorT | None, _Padding | None]:
    """`(operator, its own padding)` behind an activation.

    XNNPACK merges a PAD into the one convolution that reads it, so that the padding of a
    convolution is that of the PAD before it.
    """
    operator = graph.producer.get(index)
    padding = None if operator is None else _merged_padding(graph, graph.input(operator, 0))
    return operator, padding


def _merged_padding(graph: Graph, index: int) -> _Padding | None:
    """`((top, bottom), (left, right))` if the tensor comes from a PAD that would be merged."""
    pad = graph.producer.get(index)
    if pad is None or graph.name(pad) != "PAD" or len(graph.consumers.get(index, [])) != 1:
        return None
    amounts = graph.input(pad, 1)
    if not graph.is_constant(amounts) or levels.shape(graph.tensor(amounts)) != (4, 2):
        return None
    batch, height, width, channels = flatbuffer.values(graph.file, graph.tensor(amounts)).tolist()
    if batch != [0, 0] or channels != [0, 0]:
        return None
    return (height[0], height[1]), (width[0], width[1])


def fits(graph: Graph, operator: schema.OperatorT) -> tuple[bool, bool]:
    """Whether an operator opens a stretch, and whether it has a place in any."""
    padding = _merged_padding(graph, graph.input(operator, 0))
    opens, failure = role(graph, operator, padding)
    return opens, failure is None or ends(graph, operator)


def activations(graph: Graph, operator: schema.OperatorT) -> list[int]:
    """The inputs of an operator that are computed, past a PAD that is merged into it."""
    if graph.name(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        index = graph.input(operator, 0)
        merged = _merged_padding(graph, index) is not None
        return [graph.input(graph.producer[index], 0) if merged else index]
    indices = [int(index) for index in operator.inputs]
    return [index for index in indices if index >= 0 and graph.constant_behind(index) is None]


def is_pointwise(graph: Graph, operator: schema.OperatorT) -> bool:
    """Whether an operator is a 1x1 convolution."""
    return graph.name(operator) == "CONV_2D" and _kernel(graph, operator)[1:3] == (1, 1)


def is_over_an_image(graph: Graph, operator: schema.OperatorT) -> bool:
    """Whether a convolution has more than one pixel; a Dense layer may be written as one of one."""
    return levels.shape(graph.tensor(graph.output(operator)))[1:3] != (1, 1)


def ends(graph: Graph, operator: schema.OperatorT) -> bool:
    """Whether a stretch can end at an operator; it need not end at a reduction."""
    name, index = graph.name(operator), graph.input(operator, 0)
    if index < 0 or graph.output(operator) < 0 or len(levels.shape(graph.tensor(index))) != 4:
        return False
    if name in REDUCTIONS:
        return graph.is_constant(graph.input(operator, 1))
    return name == "DEPTH_TO_SPACE"


def _kernel(graph: Graph, operator: schema.OperatorT) -> tuple[int, ...]:
    """The shape of a convolution's constant kernel; zeros if it has none of rank 4."""
    constant = graph.constant_behind(graph.input(operator, 1))
    shape = () if constant is None else levels.shape(graph.tensor(constant))
    return shape if len(shape) == 4 else (0, 0, 0, 0)
