"""What pruning a model will pay, before it is trained: `preflight(model, target) -> Preflight`."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_lottery.core.event import prune
from keras_lottery.core.granularity import Granularity, blocks, weights
from keras_lottery.core.kernel import Kernel
from keras_lottery.exporters import tables
from keras_lottery.exporters.tflite import targets
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import bitmask, forms, quantize, rewritable
from keras_lottery.exporters.tflite.runtimes import xnnpack
from keras_lottery.exporters.tflite.targets import integer, latency, micro, size

# How much faster than dense XNNPACK computes 1x1 convolutions, by fraction of zeros: the smaller of
# the gains measured on MobileNetV1 and V2 as a whole (WebAssembly). Below it is no faster. Dense
# layers are estimated as the exporter itself does when it chooses.
_POINTWISE = ((0.7, 2.4), (0.8, 2.8), (0.9, 3.6), (0.95, 4.2))
_ESTIMATED_FOR = "as estimated for x86, one example at a time"


_HEADER = ("kernel", "shape", "operator", "pruned in", "bytes", "dense", "faster", "", "")

# How many kernels a table lists in every granularity, or one by one.
_LISTED = 8


@dataclass(frozen=True)
class Forecast:
    """What pruning one kernel in one granularity will pay.

    Attributes:
        kernel: Its name in the Keras model; with a number behind it, that piece of it.
        shape: Its shape in the Keras model.
        operator: What will compute with it.
        granularity: What is pruned as one: `weights()`, `blocks(4)` or `blocks(16)`.
        bytes: What it will take in the file at most, with the operators that unpack it.
        dense_bytes: What it takes when every value is stored.
        speed: How many times faster than dense, about; 1 where the runtime unpacks it.
        where: On which devices, as far as known; empty where it is no faster on any.
    """

    kernel: str
    shape: tuple[int, ...]
    operator: str
    granularity: str
    bytes: int
    dense_bytes: int
    speed: float
    where: str


@dataclass(frozen=True)
class Preflight:
    """Forecasts for every kernel of a model. `str()` of it is a table for the terminal.

    Attributes:
        target: What the file is made for, as in `export`.
        sparsity: The fraction of weights that the forecasts assume pruned.
        forecasts: One for each kernel and granularity.
        obstacles: What in the network keeps XNNPACK from computing its 1x1 convolutions sparsely,
            where it could for this target.
    """

    target: str
    sparsity: float
    forecasts: tuple[Forecast, ...]
    obstacles: tuple[str, ...]

    def best(self) -> dict[str, Forecast]:
        """For each kernel the granularity that pays most, the first of those that pay alike."""
        chosen: dict[str, Forecast] = {}
        for forecast in self.forecasts:
            before = chosen.get(forecast.kernel)
            if before is None or self._gain(forecast) > self._gain(before):
                chosen[forecast.kernel] = forecast
        return chosen

    def __str__(self):
        lines = [f"At {self.sparsity:.0%} zeros:", "", tables.text(_HEADER, self._rows())]
        lines += ["", "The coarser the pieces, the more accuracy pruning costs: compare."]
        if self.obstacles:
            lines += ["", "XNNPACK cannot compute the 1x1 convolutions sparsely:"]
            lines += [f"- {obstacle}" for obstacle in self.obstacles]
        return "\n".join(lines)

    def totals(self) -> dict[str, tuple[int, int]]:
        """Granularity to the bytes that all kernels take in it, and that they take densely."""
        found: dict[str, tuple[int, int]] = {}
        for each in self.forecasts:
            taken, dense = found.get(each.granularity, (0, 0))
            found[each.granularity] = taken + each.bytes, dense + each.dense_bytes
        return found

    def _rows(self):
        """Every forecast; of many kernels the best ones of the largest, and the others' sum."""
        best = self.best()
        if len(best) <= _LISTED:
            rows = [_row(each, each in best.values()) for each in self.forecasts]
        else:
            ordered = sorted(best.values(), key=lambda each: -each.dense_bytes)
            others = ordered[_LISTED:]
            taken, dense = sum(f.bytes for f in others), sum(f.dense_bytes for f in others)
            numbers = tables.number(taken), tables.number(dense)
            rows = [_row(each, True) for each in ordered[:_LISTED]]
            rows.append((f"{len(others)} smaller ones", "", "", "", *numbers, "", "", "best"))
        return rows + [
            (
                f"all {len(best)}",
                "",
                "",
                name,
                tables.number(taken),
                tables.number(dense),
                "",
                "",
                "",
            )
            for name, (taken, dense) in self.totals().items()
        ]

    def _gain(self, forecast):
        """Larger is better; the other of bytes and speed decides between equals."""
        if self.target == "latency":
            return forecast.speed, -forecast.bytes
        return -forecast.bytes, forecast.speed


def _row(forecast, best):
    return (
        forecast.kernel,
        "x".join(map(str, forecast.shape)),
        forecast.operator,
        forecast.granularity,
        tables.number(forecast.bytes),
        tables.number(forecast.dense_bytes),
        f"about {forecast.speed:.1f}x" if forecast.speed > 1 else "no",
        forecast.where,
        "best" if best else "",
    )


def preflight(
    model: keras.Model,
    target: str = "size",
    *,
    sparsity: float = 0.9,
    precision: str | None = None,
    samples=None,
    granularities: Sequence[Granularity] = (weights(), blocks(4), blocks(16)),
) -> Preflight:
    """Tells which layers pay when pruned, and in which granularity, without training anything.

    The bytes are those that the exporter itself chooses by, of the model's present weights pruned
    by magnitude to `sparsity`. The speeds are estimates from other networks: take them as a class,
    and measure your own with `measure` or `benchmark_tflite`.

    Args:
        model: A built `keras.Model`; it is left unchanged.
        target: `"size"`, `"latency"`, `"int8"` or `"micro"`: what the file is made for, and so what
            counts as best. Only for the second are Dense layers computed sparsely. `"auto"` is
            none of them: it chooses between files that it measures.
        sparsity: The fraction of each kernel to prune, in [0, 1].
        precision: The lowest precision of the weights, `"float32"`, `"float16"` or `"int8"`. By
            default `"float32"`, and for the targets `int8` and `micro` their own.
        samples: Real inputs, where the model does not say the shape of its own.
        granularities: What to compare; see `keras_lottery.core.granularity`.

    Returns:
        A `Preflight`.

    Raises:
        ValueError: An argument is not one of the choices, or `samples` do not fit the model.
        ExportError: TFLite cannot express the model, or for `"micro"` TensorFlow Lite Micro cannot;
            or it has no weights, or its masks are violated.

    Example:

    >>> from keras_lottery.exporters import tflite
    >>> model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(300, name="fc1")])
    >>> best = tflite.preflight(model, "latency", sparsity=0.95).best()["fc1/kernel"]
    >>> best.granularity, best.speed > 4
    ('blocks(4)', True)
    """
    precision = targets.resolve_precision(target, precision, tuple(targets.BUILDERS))
    if isinstance(granularities, str | Granularity) or not all(
        isinstance(each, Granularity) for each in granularities
    ):
        raise ValueError(
            f"`granularities` is {granularities!r}; it must be a list such as [blocks(4)]."
        )
    if not 0 <= sparsity <= 1:
        raise ValueError(f"`sparsity` is {sparsity}; it must be in [0, 1].")
    source = prepare(model, samples)
    dense = flatbuffer.read(source.dense_data)
    if target in targets.INTEGERS:
        integer.check_loops(source, dense)
    if target == "micro":
        micro.check_operators(dense, source.layers)
    path = None if target in targets.INTEGERS else xnnpack.sparse_path(dense)
    sparse_in_xnnpack = path.weights if path is not None and not path.structure else ()
    operators = _operators(dense)
    found = {levels.name(weight.tensor): weight for weight in rewritable.find(dense)}
    forecasts = []
    for name, values in source.kernels.items():
        for granularity in granularities:
            kernel = Kernel.of(values, name=name)
            mask = prune([kernel], sparsity=sparsity, granularity=granularity)[name]
            if name in found:
                weight = found[name]
                in_file_order = source.in_file_order(name, mask).reshape(weight.values.shape)
                pruned = dataclasses.replace(weight, values=weight.values * in_file_order)
                taken, whole, speed = _expected(dense, pruned, target, precision)
            else:
                # What the exporter does not find among the weights, it leaves alone.
                taken = whole = values.size * (1 if target in targets.INTEGERS else 4)
                speed = 1.0
            where = _ESTIMATED_FOR
            if name in sparse_in_xnnpack:
                speed, where = _pointwise_gain(1 - mask.mean()), xnnpack.CPU_NEEDED
            forecasts.append(
                Forecast(
                    kernel=name,
                    shape=values.shape,
                    operator=operators.get(name, ""),
                    granularity=granularity.name,
                    bytes=taken,
                    dense_bytes=whole,
                    speed=speed,
                    where=where if speed > 1 else "",
                )
            )
    return Preflight(target, sparsity, tuple(forecasts), () if path is None else path.structure)


def _expected(model, weight, target, precision):
    """What a weight takes, what it takes densely, and how many times as fast as dense it is."""
    if target in targets.INTEGERS:
        integers, _ = quantize.to_int8(weight.values, weight.axis)
        weight = dataclasses.replace(weight, values=integers)
        if target == "micro":
            return min(integers.nbytes, bitmask.cost(weight)), integers.nbytes, 1.0
        return integer.choose(weight).bytes, integers.nbytes, 1.0
    choices = forms.possible_dense(weight.values, weight.axis, weight.precision(precision))
    whole = size.smallest(choices).bytes
    if target == "latency":
        taken, speed = latency.forecast(model, weight, precision)
        return taken, whole, speed
    return size.choose(model, weight, precision).bytes, whole, 1.0


def _operators(model):
    """Name of a constant to the operator that computes with it."""
    found = {}
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            if graph.is_constant(index) and (uses := graph.uses(index)):
                found[levels.name(tensor)] = graph.name(uses[0].operator)
    return found


def _pointwise_gain(zeros):
    """How many times faster than dense a network's 1x1 convolutions are together."""
    sparsities, factors = zip(*_POINTWISE, strict=True)
    return float(np.interp(zeros, sparsities, factors)) if zeros >= sparsities[0] else 1.0
