"""`trace(model)`: follows the units of a model through all its calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_lottery.masks.shrink.rules import step_of
from keras_lottery.masks.shrink.step import Call, LeftAsItIs, Step
from keras_lottery.masks.shrink.units import Channels, Units
from keras_lottery.model import keras_internals


@dataclass(frozen=True, eq=False)
class Trace:
    """What is known of the calls in a model.

    Args:
        steps: The calls that are understood, in order.
        left: For each layer that is not, by name, the reason.
        nested: The models among these that can be traced themselves, and how often each is called,
            by name.
        units: All units of the model.
        outputs: The last axis of each of the model's outputs; `None` where its length is not fixed.
    """

    steps: list[Step]
    left: dict[str, str]
    nested: dict[str, tuple[keras.Model, int]]
    units: Units
    outputs: list[Channels | None]

    @property
    def is_constant(self) -> bool:
        """True if all outputs are known to be the same for every input."""
        return all(one is not None and bool(one.is_constant.all()) for one in self.outputs)


def trace(model: keras.Model) -> Trace:
    """Follow the units of a model from its inputs to its outputs.

    Units of inputs and outputs, and those that a layer takes or gives that is not understood, are
    pinned: they stay.

    Args:
        model: A built Sequential or functional model.
    """
    calls = keras_internals.calls_of(model)
    times = Counter(id(call.operation) for call in calls)
    units, steps, left = Units(), [], {}
    channels: dict[int, Channels | None] = {}
    for call in calls:
        inputs = [channels[id(tensor)] for tensor in call.input_tensors]
        try:
            step = step_of(_understood(call, inputs, times[id(call.operation)]), units)
        except LeftAsItIs as why:
            if call.input_tensors:  # an input of the model has none
                left[call.operation.name] = str(why)
            _pin(inputs, units)
            channels.update({id(tensor): _unknown(tensor, units) for tensor in call.output_tensors})
        else:
            steps.append(step)
            channels[id(call.output_tensors[0])] = step.output
    outputs = [channels[id(tensor)] for tensor in keras_internals.outputs_of(model)]
    _pin(outputs, units)
    models = [call.operation for call in calls if isinstance(call.operation, keras.Model)]
    nested = {
        one.name: (one, times[id(one)])
        for one in models
        if keras_internals.graph_of(one) is not None
    }
    return Trace(steps, left, nested, units, outputs)


def _understood(call: Any, inputs: list[Channels | None], times: int) -> Call:
    """A call, if nothing stands against it whatever its layer is."""
    layer = call.operation
    if isinstance(layer, keras.Model):
        raise LeftAsItIs("it is a model of its own")
    if times > 1 and (getattr(layer, "weights", []) or isinstance(layer, keras.layers.Reshape)):
        raise LeftAsItIs(f"it is called {times} times")
    numbers = _numbers(call)
    if _has_further_arguments(call, len(numbers)):
        raise LeftAsItIs("it is called with more arguments than its inputs")
    known = [one for one in inputs if one is not None]
    if len(known) < len(inputs):
        raise LeftAsItIs("the last axis of its input has no fixed length")
    shapes = [tuple(tensor.shape) for tensor in call.input_tensors]
    return Call(layer, known, shapes, tuple(call.output_tensors[0].shape), numbers)


def _numbers(call: Any) -> dict[int, float]:
    """The numbers in an operation such as `2 * x`, by their place among its arguments."""
    if isinstance(call.operation, keras.Layer):
        return {}
    arguments = enumerate(call.arguments.args)
    return {place: value for place, value in arguments if isinstance(value, int | float)}


def _has_further_arguments(call: Any, numbers: int) -> bool:
    """Return whether a call has arguments that change what the layer computes.

    Keras itself notes `training=False` and `mask=None`.
    """
    named = call.arguments.kwargs.values()
    further = [value for value in named if value is not None and value is not False]
    given = len(keras.tree.flatten(call.arguments.args)) - numbers
    return given > len(call.input_tensors) or bool(further)


def _pin(channels: list[Channels | None], units: Units) -> None:
    for one in channels:
        if one is not None:
            units.pin(one.units)


def _unknown(tensor: Any, units: Units) -> Channels | None:
    """The last axis of a tensor of which nothing is known."""
    if len(tensor.shape) < 2 or tensor.shape[-1] is None:
        return None
    new = units.new(tensor.shape[-1])
    units.pin(new)
    return Channels(new, np.full(len(new), np.nan))
