"""Finds what XNNPACK computes wrongly where it holds a network channels first.

Measured with LiteRT.js 2.5.3 on files of TensorFlow's own sparse conversion, outputs against those
of the same file stored densely. The same code runs on ARM; where it sees AVX XNNPACK leaves such
networks alone, so that no comparison on a PC shows anything. Why a feature map is misread stands in
`xnn_subgraph_rewrite_for_nchw` in XNNPACK's `src/subgraph.c`: it asks who reads what a stretch
hands on inside, and not who reads its last feature map.
"""

from collections.abc import Iterable, Iterator, Mapping

from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tables import printable
from keras_lottery.exporters.tflite.contents import Contents
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.runtimes import roles, xnnpack
from keras_lottery.exporters.tflite.runtimes.defects import Defect

_EFFECTS = {
    "LiteRT.js": "silently wrong",
    "LiteRT on ARM": "silently wrong by the same code",
    "LiteRT, x86 with AVX": "correct",
}


def find(file: schema.ModelT, contents: Contents) -> list[Defect]:
    """The defects of a file's first subgraph, which alone XNNPACK rewrites.

    Args:
        file: What `flatbuffer.read` returned.
        contents: The counts of the same file.

    Raises:
        FlatbufferError: Operators or weights contradict themselves.
    """
    return [
        Defect("misread by XNNPACK", _written(graph, operator), cause, _EFFECTS)
        for graph, _, misread in _torn(file, contents)
        for operator, cause in misread
    ]


def openings(file: schema.ModelT, contents: Contents) -> list[schema.OperatorT]:
    """The convolutions that open the stretches in which `find` finds a defect.

    Args:
        file: What `flatbuffer.read` returned.
        contents: The counts of the same file.

    Raises:
        FlatbufferError: Operators or weights contradict themselves.
    """
    return [
        operator
        for graph, stretch, _ in _torn(file, contents)
        for operator in stretch
        if roles.fits(graph, operator)[0]
    ]


def _torn(
    file: schema.ModelT, contents: Contents
) -> Iterator[tuple[Graph, list[schema.OperatorT], list[tuple[schema.OperatorT, str]]]]:
    """Yields `(graph, stretch, [(operator, cause)])` for each stretch that is computed wrongly."""
    if not file.subgraphs:
        return
    graph = Graph(file, file.subgraphs[0])
    if not any(graph.name(operator) == "DENSIFY" for operator in graph.subgraph.operators):
        return
    if not any(roles.ends(graph, operator) for operator in graph.subgraph.operators):
        return
    held = _held(graph)
    for stretch in _stretches(graph, held):
        if xnnpack.zeros(graph, stretch, contents) > xnnpack.ZEROS_NEEDED:
            causes = [(operator, _cause(graph, operator, held)) for operator in stretch]
            if misread := [(each, cause) for each, cause in causes if cause is not None]:
                yield graph, stretch, misread


def _held(graph: Graph) -> dict[int, schema.OperatorT]:
    """The operators that XNNPACK can hold channels first, by `id`, if nothing forbids it."""
    held: dict[int, schema.OperatorT] = {}
    for operator in graph.subgraph.operators:
        if graph.producer.get(graph.output(operator)) is not operator:
            continue
        opens, fits = roles.fits(graph, operator)
        if fits and (opens or _sources(graph, operator, held) is not None):
            held[id(operator)] = operator
    return held


def _sources(
    graph: Graph, operator: schema.OperatorT, held: Mapping[int, schema.OperatorT]
) -> list[schema.OperatorT] | None:
    """The operators whose outputs it reads; None if one of them is not held channels first."""
    found = [graph.producer.get(index) for index in roles.activations(graph, operator)]
    sources = [operator for operator in found if operator is not None and id(operator) in held]
    return sources if sources and len(sources) == len(found) else None


def _stretches(
    graph: Graph, held: Mapping[int, schema.OperatorT]
) -> Iterable[list[schema.OperatorT]]:
    """The operators that are held together, but for the stretches that XNNPACK gives up."""
    leader = {key: key for key in held}

    def first(key: int) -> int:
        while leader[key] != key:
            leader[key] = key = leader[leader[key]]
        return key

    spoilt: set[int] = set()
    read: dict[int, schema.OperatorT] = {}
    for operator in graph.subgraph.operators:
        if graph.producer.get(graph.output(operator)) is not operator:
            continue
        opens, fits = roles.fits(graph, operator)
        if not fits or opens:
            continue
        inputs = roles.activations(graph, operator)
        sources = [graph.producer.get(index) for index in inputs]
        if id(operator) not in held:
            # One input is held, another is not: that forbids the whole.
            spoilt.update(id(source) for source in sources if id(source) in held)
            continue
        for index, source in zip(inputs, sources, strict=True):
            leader[first(id(source))] = first(id(operator))
            read[index] = source
    for index, source in read.items():
        if any(id(reader) not in held for reader in xnnpack.readers(graph, index)):
            spoilt.add(id(source))
    spoilt = {first(key) for key in spoilt}
    stretches: dict[int, list[schema.OperatorT]] = {}
    for key, operator in held.items():
        if first(key) not in spoilt:
            stretches.setdefault(first(key), []).append(operator)
    return stretches.values()


def _cause(
    graph: Graph, operator: schema.OperatorT, held: Mapping[int, schema.OperatorT]
) -> str | None:
    name, index = graph.name(operator), graph.output(operator)
    readers = xnnpack.readers(graph, index)
    if not roles.ends(graph, operator) and not any(id(reader) in held for reader in readers):
        by = " and ".join(dict.fromkeys(graph.name(reader) for reader in readers))
        return (
            "XNNPACK writes this feature map channels first where it computes 1x1 convolutions "
            f"sparsely, and {by or 'the caller'} reads it channels last."
        )
    if name in ("ADD", "MUL"):
        shapes = {levels.shape(graph.tensor(i)) for i in roles.activations(graph, operator)}
        if len(shapes) > 1 and any(shape[1:3] == (1, 1) for shape in shapes):
            return f"{name} of a feature map and a number for each channel, held channels first."
    if name in roles.REDUCTIONS:
        axes = graph.tensor(graph.input(operator, 1))
        if levels.size(axes) == 1 and int(flatbuffer.values(graph.file, axes).flat[0]) in (1, 2):
            return f"{name} over one of height and width alone, held channels first."
    return None


def _written(graph: Graph, operator: schema.OperatorT) -> str:
    return printable(levels.name(graph.tensor(graph.output(operator))))
