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
from keras_lottery.exporters.tflite.format import levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.runtimes import roles

# Up to this fraction of zeros XNNPACK computes densely.
ZEROS_NEEDED = 2 / 3

CPU_NEEDED = "an ARM CPU, WebAssembly or an x86 CPU without AVX"

_NO_END = "nothing ends the convolutions: no reduction of a feature map, no DEPTH_TO_SPACE"


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
    pointwise = [operator for operator in operators if roles.is_pointwise(graph, operator)]
    if not any(roles.is_over_an_image(graph, operator) for operator in pointwise):
        return None
    last = [operator for operator in operators if roles.ends(graph, operator)]
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
            for index in roles.activations(graph, below):
                operator, padding = roles.producer(graph, index)
                if operator is None:
                    if held:
                        stretch.structure.append(
                            f"{_name(graph, index)}: no 3x3 convolution follows this input"
                        )
                    continue
                met = stretch_of.get(id(operator))
                if met is stretch or (not held and roles.ends(graph, operator)):
                    continue
                if met is not None:
                    stretch = _merged(stretch, met, stretch_of)
                    continue
                opens, failure = roles.role(graph, operator, padding)
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


def _kernels(graph: Graph, operators: Iterable[schema.OperatorT]) -> list[schema.TensorT]:
    """The kernels of the 1x1 convolutions among some operators."""
    pointwise = [operator for operator in operators if roles.is_pointwise(graph, operator)]
    constants = [graph.constant_behind(graph.input(operator, 1)) for operator in pointwise]
    return [graph.tensor(constant) for constant in constants if constant is not None]


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
        if roles.ends(graph, operator) and len(outside) == len(found):
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


def _name(graph: Graph, index: int) -> str:
    # The converter joins the names of what it merged into one operator. Our files name no tensors
    # but weights, inputs and outputs.
    name = levels.name(graph.tensor(index)).split(";")[0]
    return repr(printable(name, most=200)) if name else f"tensor {index}"
