"""Tells whether XNNPACK computes a file's 1x1 convolutions sparsely, and if not, exactly why.

XNNPACK holds sparse networks channels first, and only where a whole stretch of the network can be
held so: one kind of convolution opens it, a reduction or DEPTH_TO_SPACE ends it, and everything
between has a channels-first kernel. The conditions are those of `xnn_subgraph_rewrite_for_nchw` in
XNNPACK's `src/subgraph.c`, and of its delegate in TensorFlow Lite.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tables import printable
from keras_lottery.exporters.tflite.contents import Contents
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph

# `((top, bottom), (left, right))`.
_Padding = tuple[tuple[int, int], tuple[int, int]]

# Up to this fraction of zeros XNNPACK computes densely.
ZEROS_NEEDED = 2 / 3

CPU_NEEDED = "an ARM CPU, WebAssembly or an x86 CPU without AVX"

# What XNNPACK reduces statically; it has no such form of REDUCE_MAX and the others.
REDUCTIONS = ("MEAN", "SUM")
_NO_END = "nothing ends the convolutions: no reduction of a feature map, no DEPTH_TO_SPACE"

_UNARY = (
    "ABS CEIL ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC NEG RELU RELU6 RELU_0_TO_1 "
    "RELU_N1_TO_1 ROUND RSQRT SQRT SQUARE TANH"
).split()


@dataclass(frozen=True)
class SparsePath:
    """How XNNPACK computes a network's 1x1 convolutions, sparsely or why not.

    Attributes:
        weights: Names of the weights it would compute sparsely.
        zeros: The fraction of zeros in all of them together, which decides in XNNPACK.
        structure: The layers that keep XNNPACK from it, and why.
        storage: What in the stored values keeps XNNPACK from it.
    """

    weights: tuple[str, ...]
    zeros: float
    structure: tuple[str, ...]
    storage: tuple[str, ...]

    @property
    def taken(self) -> bool:
        """Whether the file meets every condition. The device must meet another, `CPU_NEEDED`."""
        return not self.structure and not self.storage


def sparse_path(file: schema.ModelT) -> SparsePath | None:
    """Checks a file against the conditions of XNNPACK's sparse inference.

    Args:
        file: What `flatbuffer.read` returned.

    Returns:
        The outcome for the stretch with the most 1x1 convolutions, or `None` for a network without
        any, which has nothing that XNNPACK could compute sparsely.

    Raises:
        FlatbufferError: Operators or weights contradict themselves.
    """
    if not file.subgraphs:
        return None
    graph = Graph(file, file.subgraphs[0])
    operators = graph.subgraph.operators
    pointwise = [operator for operator in operators if _is_pointwise(graph, operator)]
    if not any(_is_over_an_image(graph, operator) for operator in pointwise):
        return None
    last = [operator for operator in operators if ends(graph, operator)]
    if not last:
        return SparsePath((), 0.0, (_NO_END,), ())
    contents = Contents(file)
    paths = [_path(graph, stretch, contents) for stretch in _stretches(graph, last)]
    return max(paths, key=lambda path: (path.taken, len(path.weights)))


@dataclass
class _Stretch:
    """Operators, by their `id`, to be held channels first, and what keeps XNNPACK from it."""

    inside: dict[int, schema.OperatorT]
    structure: list[str]


def _stretches(graph: Graph, last: Iterable[schema.OperatorT]) -> list[_Stretch]:
    """Walks up from the ends to the convolutions that open their stretches.

    XNNPACK gives up at the first obstacle; this goes on, to name them all. Each operator is visited
    once: ends whose walks meet share a stretch.
    """
    stretch_of: dict[int, _Stretch] = {}
    for end in last:
        if id(end) in stretch_of:
            continue
        stretch = _Stretch({id(end): end}, [])
        stretch_of[id(end)] = stretch
        # An operator, and whether it is held channels first itself.
        pending = [(end, True)]
        while pending:
            below, held = pending.pop()
            for index in activations(graph, below):
                operator, padding = _producer(graph, index)
                if operator is None:
                    if held:
                        stretch.structure.append(
                            f"{_name(graph, index)}: no 3x3 convolution follows this input"
                        )
                    continue
                met = stretch_of.get(id(operator))
                if met is stretch or (not held and ends(graph, operator)):
                    continue
                if met is not None:
                    stretch = _merged(stretch, met, stretch_of)
                    continue
                opens, failure = _role(graph, operator, padding)
                if failure:
                    name = _name(graph, graph.output(operator))
                    stretch.structure.append(f"{name}: {failure}")
                    if graph.name(operator) == "DEPTH_TO_SPACE":
                        continue  # It ends a stretch of its own.
                stretch.inside[id(operator)] = operator
                stretch_of[id(operator)] = stretch
                if not opens:
                    pending.append((operator, failure is None))
    return list({id(stretch): stretch for stretch in stretch_of.values()}.values())


def _merged(one: _Stretch, other: _Stretch, stretch_of: dict[int, _Stretch]) -> _Stretch:
    """Merges the smaller stretch into the larger one, so that no operator moves often."""
    small, large = sorted((one, other), key=lambda stretch: len(stretch.inside))
    large.inside |= small.inside
    large.structure += small.structure
    stretch_of.update(dict.fromkeys(small.inside, large))
    return large


def _path(graph: Graph, stretch: _Stretch, contents: Contents) -> SparsePath:
    inside = stretch.inside.values()
    fraction = zeros(graph, inside, contents)
    return SparsePath(
        tuple(levels.name(tensor) for tensor in _kernels(graph, inside)),
        fraction,
        tuple(dict.fromkeys([*stretch.structure, *_leaks(graph, inside)])),
        tuple(_storage_failures(graph, fraction)),
    )


def zeros(graph: Graph, operators: Iterable[schema.OperatorT], contents: Contents) -> float:
    """The fraction of zeros in the kernels of the 1x1 convolutions among some operators."""
    tensors = _kernels(graph, operators)
    size = sum(levels.size(tensor) for tensor in tensors)
    return 1 - sum(contents.count(tensor).alive for tensor in tensors) / size if size else 0.0


def fits(graph: Graph, operator: schema.OperatorT) -> tuple[bool, bool]:
    """Whether an operator opens a stretch, and whether it has a place in any."""
    padding = _merged_padding(graph, graph.input(operator, 0))
    opens, failure = _role(graph, operator, padding)
    return opens, failure is None or ends(graph, operator)


def _kernels(graph: Graph, operators: Iterable[schema.OperatorT]) -> list[schema.TensorT]:
    """The kernels of the 1x1 convolutions among some operators."""
    pointwise = [operator for operator in operators if _is_pointwise(graph, operator)]
    constants = [graph.constant_behind(graph.input(operator, 1)) for operator in pointwise]
    return [graph.tensor(constant) for constant in constants if constant is not None]


def _role(
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


def _producer(graph: Graph, index: int) -> tuple[schema.OperatorT | None, _Padding | None]:
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


def activations(graph: Graph, operator: schema.OperatorT) -> list[int]:
    """The inputs of an operator that are computed, past a PAD that is merged into it."""
    if graph.name(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        index = graph.input(operator, 0)
        merged = _merged_padding(graph, index) is not None
        return [graph.input(graph.producer[index], 0) if merged else index]
    indices = [int(index) for index in operator.inputs]
    return [index for index in indices if index >= 0 and graph.constant_behind(index) is None]


def _leaks(graph: Graph, inside: Iterable[schema.OperatorT]) -> Iterator[str]:
    """Names the feature maps of a stretch that an operator outside it reads as well."""
    members = {id(operator) for operator in inside}
    outputs = {int(index) for index in graph.subgraph.outputs}
    for operator in inside:
        index = graph.output(operator)
        if graph.producer.get(index) is not operator:
            continue  # Two operators write one tensor: the file is damaged.
        found = readers(graph, index)
        outside = [reader for reader in found if id(reader) not in members]
        if ends(graph, operator) and len(outside) == len(found):
            continue
        for name in dict.fromkeys(graph.name(reader) for reader in outside):
            yield f"{_name(graph, index)}: {name} reads it as well"
        if index in outputs:
            yield f"{_name(graph, index)}: it is an output of the network as well"


def readers(graph: Graph, index: int) -> list[schema.OperatorT]:
    """The operators that read a tensor, past a PAD."""
    direct = graph.consumers.get(index, [])
    found = [reader for reader in direct if graph.name(reader) != "PAD"]
    padded = {graph.output(reader) for reader in direct if graph.name(reader) == "PAD"}
    return found + [reader for output in padded for reader in graph.consumers.get(output, [])]


def _storage_failures(graph: Graph, zeros: float) -> Iterator[str]:
    names = [graph.name(operator) for operator in graph.subgraph.operators]
    if "DENSIFY" not in names:
        yield "no weight is stored sparsely (goes through DENSIFY)"
    if zeros <= ZEROS_NEEDED:
        yield f"{zeros:.1%} of the 1x1 weights are zero; more than two thirds must be"


def _is_pointwise(graph: Graph, operator: schema.OperatorT) -> bool:
    return graph.name(operator) == "CONV_2D" and _kernel(graph, operator)[1:3] == (1, 1)


def _is_over_an_image(graph: Graph, operator: schema.OperatorT) -> bool:
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


def _name(graph: Graph, index: int) -> str:
    # The converter joins the names of what it merged into one operator.
    return repr(printable(levels.name(graph.tensor(index)).split(";")[0], most=200))
