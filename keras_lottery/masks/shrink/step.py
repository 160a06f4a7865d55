"""What shrinking knows of a call of a layer: the units it takes and gives, and how it is cut."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_lottery.masks.shrink import activations
from keras_lottery.masks.shrink.reading import Reading
from keras_lottery.masks.shrink.units import Channels, Keeps
from keras_lottery.model.arrays import array

# The axes of a variable along which units are, and which.
Axes = tuple[tuple[int, np.ndarray], ...]


class LeftAsItIs(Exception):
    """A layer is left as it is; the message says why, to be read after "because "."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a layer within a model.

    Args:
        layer: The layer, or an operation such as that of `x + y`.
        inputs: The last axis of each of its inputs.
        input_shapes: Their shapes, with that of the batch.
        output_shape: The shape of what it computes.
        numbers: For an operation, by their place among its arguments, those that are numbers.
    """

    layer: keras.Layer
    inputs: list[Channels]
    input_shapes: list[tuple[int | None, ...]]
    output_shape: tuple[int | None, ...]
    numbers: Mapping[int, float] = field(default_factory=dict)

    @property
    def positions(self) -> int | None:
        """The number of positions of the output in a sample; `None` if it is not fixed."""
        sizes = [size for size in self.output_shape[1:-1] if size is not None]
        return math.prod(sizes) if len(sizes) == len(self.output_shape) - 2 else None

    def of_constants(self) -> np.ndarray:
        """What a layer that acts on each unit alone computes from the constants of its inputs."""
        constants = [one.constant for one in self.inputs]
        # Not by calling the layer: that would leave losses of an activity regularizer in it.
        function, dtype = self.layer.call, getattr(self.layer, "compute_dtype", "float32")
        if not isinstance(self.layer, keras.Layer):
            function = functools.partial(_calculated, function, self.numbers)
        return activations.at(function, constants, len(self.output_shape), dtype)


def _calculated(function: Callable[..., Any], numbers: Mapping[int, float], given: Any) -> Any:
    """What `x + y` or `2 * x` is: an operation takes tensors and numbers one by one."""
    tensors = iter(given if isinstance(given, list) else [given])
    count = len(given) if isinstance(given, list) else 1
    places = range(count + len(numbers))
    return function(*(numbers[at] if at in numbers else next(tensors) for at in places))


def _the_same(count: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, eq=False)
class Step:
    """A call of a layer that shrinking understands.

    Args:
        layer: The layer.
        output: The last axis of what it computes.
        axes: For each of its variables, by attribute, the axes to cut: pairs of an axis and the
            units along it.
        resized: A function from the number of outputs that stay to the entries of the layer's
            configuration that change.
        reading: How a layer that makes units of its own reads its inputs; `None` for a layer that
            passes the units on.
        positions: At how many positions of a sample its kernel is applied; `None` if it has no
            kernel, or their number is not fixed.
        whole: Why all its units stay, to be read after "because "; empty if they need not.
        at_borders: The units that are constant before it and, since zeros are put around them, are
            not any more after it.
    """

    layer: keras.Layer
    output: Channels
    axes: Mapping[str, Axes] = field(default_factory=dict)
    resized: Callable[[int], dict[str, Any]] = _the_same
    reading: Reading | None = None
    positions: int | None = None
    whole: str = ""
    at_borders: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    def config(self, keeps: Keeps) -> dict[str, Any]:
        """The entries of the layer's configuration that change."""
        config = self.resized(int(np.count_nonzero(keeps(self.output.units))))
        if self.reading is not None and self.reading.needs_bias(keeps):
            config["use_bias"] = True
        return config

    def values(self, keeps: Keeps) -> dict[str, np.ndarray]:
        """The values of the layer's variables without the units that go, by attribute."""
        values = {} if self.reading is None else self.reading.folded(keeps)
        for name in self.axes.keys() - values.keys():
            values[name] = array(getattr(self.layer, name))
        return {name: self._cut(name, value, keeps) for name, value in values.items()}

    def sizes(self, keeps: Keeps) -> dict[str, tuple[int, int]]:
        """How many values its variables have before and afterwards, by attribute."""
        sizes = {}
        for name, axes in self.axes.items():
            before = list(getattr(self.layer, name).shape)
            after = before.copy()
            for axis, units in axes:
                after[axis] = int(np.count_nonzero(keeps(units)))
            sizes[name] = (math.prod(before), math.prod(after))
        return sizes

    def _cut(self, name: str, value: np.ndarray, keeps: Keeps) -> np.ndarray:
        for axis, units in self.axes.get(name, ((-1, self.output.units),)):  # a new bias
            value = np.compress(keeps(units), value, axis)
        return value
