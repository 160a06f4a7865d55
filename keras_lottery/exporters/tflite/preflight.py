"""`preflight(model) -> Preflight`: forecasts what pruning a model will pay, before training."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.core.event import prune
from keras_lottery.core.granularity import Granularity, blocks, weights
from keras_lottery.core.kernel import Kernel
from keras_lottery.exporters import tables
from keras_lottery.exporters.tflite import targets
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import bitmask, forms, quantize, rewritable
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight
from keras_lottery.exporters.tflite.runtimes import xnnpack
from keras_lottery.exporters.tflite.targets import integer, latency, micro, size

# `(fraction of zeros, speed of XNNPACK's 1x1 convolutions as a multiple of dense)`: the smaller of
# the gains measured on MobileNetV1 and V2 as a whole (WebAssembly). With fewer zeros there is no
# gain. Dense layers are estimated as the exporter itself does when it chooses.
_POINTWISE = ((0.7, 2.4), (0.8, 2.8), (0.9, 3.6), (0.95, 4.2))
_ESTIMATED_FOR = "as estimated for x86, one example at a time"


_HEADER = ("kernel", "shape", "operator", "pruned in", "bytes", "dense", "faster", "", "")

# How many kernels a table lists in every granularity, or one by one.
_LISTED = 8


@dataclass(frozen=True)
class Forecast:
    """Forecasts what pruning one kernel in one granularity will pay.

    Attributes:
        kernel: The name of the kernel in the Keras model; a piece of a kernel has a number behind.
        shape: The shape of the kernel in the Keras model.
        operator: The operator that will compute with it.
        granularity: What is pruned together: `weights()`, `blocks(4)` or `blocks(16)`.
        bytes: The most bytes that it will take in the file, with the operators that unpack it.
        dense_bytes: The bytes that it takes if every value is stored.
        speed: About how many times as fast as dense; 1 if the runtime unpacks it.
        where: The devices on which it is faster; empty if it is faster on none.
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
    """Forecasts for every kernel of a model. `print` it for a table.

    Attributes:
        target: The target of the file, as in `export`.
        sparsity: The fraction of weights that the forecasts assume pruned.
        forecasts: One `Forecast` for each kernel and granularity.
        obstacles: The layers that keep XNNPACK from computing 1x1 convolutions sparsely, and why;
            empty for a target whose files it never computes so.
    """

    target: str
    sparsity: float
    forecasts: tuple[Forecast, ...]
    obstacles: tuple[str, ...]

    def best(self) -> dict[str, Forecast]:
        """Kernel -> the forecast that pays most, the first of those that pay alike."""
        chosen: dict[str, Forecast] = {}
        for forecast in self.forecasts:
            before = chosen.get(forecast.kernel)
            if before is None or self._gain(forecast) > self._gain(before):
                chosen[forecast.kernel] = forecast
        return chosen

    def __str__(self) -> str:
        lines = [f"At {self.sparsity:.0%} zeros:", "", tables.text(_HEADER, self._rows())]
        lines += ["", "The coarser the pieces, the more accuracy pruning costs: compare."]
        if self.obstacles:
            lines += ["", "XNNPACK cannot compute the 1x1 convolutions sparsely:"]
            lines += [f"- {obstacle}" for obstacle in self.obstacles]
        return "\n".join(lines)

    def totals(self) -> dict[str, tuple[int, int]]:
        """Granularity -> the bytes that all kernels take in it, and the bytes they take densely."""
        found: dict[str, tuple[int, int]] = {}
        for each in self.forecasts:
            taken, dense = found.get(each.granularity, (0, 0))
            found[each.granularity] = taken + each.bytes, dense + each.dense_bytes
        return found

    def _rows(self) -> list[tuple[str, ...]]:
        """Every forecast; of many kernels the best of each large one, and the sum of the others."""
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

    def _gain(self, forecast: Forecast) -> tuple[float, float]:
        """What the target wants, larger being better; then the other of bytes and speed."""
        if self.target == "latency":
            return forecast.speed, -forecast.bytes
        return -forecast.bytes, forecast.speed


def _row(forecast: Forecast, best: bool) -> tuple[str, ...]:
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
    samples: Any = None,
    granularities: Sequence[Granularity] = (weights(), blocks(4), blocks(16)),
) -> Preflight:
    """Forecasts which layers pay when pruned, and in which granularity, without training anything.

    The model's present weights are pruned by magnitude to `sparsity`. The bytes are those by which
    `export` itself chooses. The speeds are rough estimates from other networks: measure your own
    file with `measure`.

    Args:
        model: A built `keras.Model`; it is left unchanged.
        target: `"size"`, `"latency"`, `"int8"` or `"micro"`, as in `export`. It decides what counts
            as best. Dense layers are computed sparsely for `"latency"` only. `"auto"` has no
            forecast, because it chooses between files that it measures.
        sparsity: The fraction of each kernel to prune, in [0, 1].
        precision: The lowest precision of the weights, `"float32"`, `"float16"` or `"int8"`. By
            default `"float32"`; the targets `int8` and `micro` have their own.
        samples: Real inputs; needed if the model does not know the shape of its inputs.
        granularities: The granularities to compare, a list as of `kl.granularity`.

    Returns:
        A `Preflight`; `print` it.

    Raises:
        ValueError: An argument is not one of the choices, or `samples` do not fit the model.
        ExportError: TFLite, or for `"micro"` TensorFlow Lite Micro, cannot express the model. Or
            the model has no weights, or its masks are violated.

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
            f"`granularities` is {granularities!r}; it must be a list such as "
            "[kl.granularity.blocks(4)]."
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
    rewritables = {levels.name(weight.tensor): weight for weight in rewritable.find(dense)}
    forecasts = []
    for name, values in source.kernels.items():
        for granularity in granularities:
            kernel = Kernel.of(values, name=name)
            mask = prune([kernel], sparsity=sparsity, granularity=granularity)[name]
            if name in rewritables:
                weight = rewritables[name]
                alive = source.in_file_order(name, mask).reshape(weight.values.shape)
                pruned = dataclasses.replace(weight, values=weight.values * alive)
                taken, whole, speed = _expected(dense, pruned, target, precision)
            else:
                # The exporter leaves a kernel alone that it does not find among the weights.
                taken = whole = values.size * (1 if target in targets.INTEGERS else 4)
                speed = 1.0
            where = _ESTIMATED_FOR
            if name in sparse_in_xnnpack:
                speed, where = _pointwise_gain(1 - float(mask.mean())), xnnpack.CPU_NEEDED
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


def _expected(
    file: schema.ModelT, weight: Weight, target: str, precision: str
) -> tuple[int, int, float]:
    """The bytes of a weight, its bytes stored densely, and its speed as a multiple of dense."""
    if target in targets.INTEGERS:
        integers, _ = quantize.to_int8(weight.values, weight.axis)
        weight = dataclasses.replace(weight, values=integers)
        if target == "micro":
            return min(integers.nbytes, bitmask.cost(weight)), integers.nbytes, 1.0
        return int(integer.choose(weight).bytes), integers.nbytes, 1.0
    dense_forms = forms.possible_dense(weight.values, weight.axis, weight.precision(precision))
    whole = int(size.smallest(dense_forms).bytes)
    if target == "latency":
        taken, speed = latency.forecast(file, weight, precision)
        return int(taken), whole, speed
    return int(size.choose(file, weight, precision).bytes), whole, 1.0


def _operators(file: schema.ModelT) -> dict[str, str]:
    """Name of a constant -> the operator that computes with it."""
    found = {}
    for subgraph in file.subgraphs:
        graph = Graph(file, subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            if graph.is_constant(index) and (uses := graph.uses(index)):
                found[levels.name(tensor)] = graph.name(uses[0].operator)
    return found


def _pointwise_gain(zeros: float) -> float:
    """How many times faster than dense a network's 1x1 convolutions are together."""
    sparsities, factors = zip(*_POINTWISE, strict=True)
    return float(np.interp(zeros, sparsities, factors)) if zeros >= sparsities[0] else 1.0
