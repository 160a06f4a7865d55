"""Layers that pass units on: each function is `(call, units) -> Step`."""

import dataclasses

import keras
import numpy as np

from keras_lottery.masks.shrink import activations
from keras_lottery.masks.shrink.filters import filtered, pads
from keras_lottery.masks.shrink.kernels import refuse_channels_first, refuse_other_kernels
from keras_lottery.masks.shrink.step import Axes, Call, LeftAsItIs, Step
from keras_lottery.masks.shrink.units import Channels, Units
from keras_lottery.model import keras_internals
from keras_lottery.model.arrays import array


def unchanged(call: Call, units: Units) -> Step:
    """A layer that does nothing outside training, or leaves constants as they are, as pooling."""
    refuse_channels_first(call.layer)
    return Step(call.layer, call.inputs[0])


def by_unit(call: Call, units: Units) -> Step:
    """An activation that acts on each unit alone."""
    activation = getattr(call.layer, "activation", None)
    if activations.acts_over_units(activation):
        return over_units(call, units)
    refuse_mixing(call.layer)
    return Step(call.layer, Channels(call.inputs[0].units, call.of_constants()))


def over_units(call: Call, units: Units) -> Step:
    """Softmax and its like: all units stay, and nothing is constant unless everything is."""
    source = call.inputs[0]
    if getattr(call.layer, "axis", -1) not in (-1, len(call.output_shape) - 1):
        raise LeftAsItIs(f"it acts along axis {call.layer.axis}, which is not the last")
    units.pin(source.units)
    constant = np.full(len(source), np.nan)
    if source.is_constant.all():
        constant = call.of_constants()
    return Step(call.layer, Channels(source.units, constant), whole="it acts on all units together")


def refuse_mixing(layer: keras.Layer) -> None:
    """Refuse a layer whose activation may compute with several units together."""
    activation = getattr(layer, "activation", None)
    if not activations.acts_by_unit(activation):
        raise LeftAsItIs(activations.reason(activation))


def batch_normalization(call: Call, units: Units) -> Step:
    """BatchNormalization with its moving statistics; where its scale is zero, its shift is left."""
    layer, source = call.layer, call.inputs[0]
    if layer.axis not in (-1, len(call.output_shape) - 1):
        raise LeftAsItIs(f"it normalises axis {layer.axis}, which is not the last")
    if layer.scale:
        silent = array(layer.gamma) == 0
        source = Channels(source.units, np.where(silent, 0, source.constant))
    constant = dataclasses.replace(call, inputs=[source]).of_constants()
    own = ["moving_mean", "moving_variance"]
    own += ["gamma"] * layer.scale + ["beta"] * layer.center
    axes = dict.fromkeys(own, ((-1, source.units),))
    return Step(layer, Channels(source.units, constant), axes)


def prelu(call: Call, units: Units) -> Step:
    """PReLU: a slope for each unit, and perhaps for each position."""
    source = call.inputs[0]
    shared = len(call.output_shape) - 1 in (call.layer.shared_axes or ())
    axes: dict[str, Axes] = {} if shared else {"alpha": ((-1, source.units),)}
    return Step(call.layer, Channels(source.units, call.of_constants()), axes)


def zero_padding(call: Call, units: Units) -> Step:
    """Zeros around an image."""
    refuse_channels_first(call.layer)
    return Step(call.layer, dataclasses.replace(call.inputs[0], bordered=True))


def repeated(call: Call, units: Units) -> Step:
    """Flatten, and Reshape where the last axis stays innermost: each unit comes several times."""
    refuse_channels_first(call.layer)
    source, last = call.inputs[0], call.output_shape[-1]
    if last is None or last % len(source):
        raise LeftAsItIs("it takes the last axis apart")
    times = last // len(source)
    output = Channels(np.tile(source.units, times), np.tile(source.constant, times))
    if not isinstance(call.layer, keras.layers.Reshape):
        return Step(call.layer, output)
    before = tuple(call.layer.target_shape[:-1])
    return Step(call.layer, output, resized=lambda count: {"target_shape": (*before, count)})


def depthwise(call: Call, units: Units) -> Step:
    """A depthwise convolution: each unit has filters of its own."""
    layer, source = call.layer, call.inputs[0]
    refuse_channels_first(layer)
    refuse_other_kernels(layer)
    refuse_mixing(layer)
    zeros_around = pads(layer) or source.bordered
    output, lost = filtered(source, array(layer.kernel), zeros_around)
    constant = output.constant
    axes: dict[str, Axes] = {"kernel": ((-2, source.units),)}
    if layer.use_bias:
        constant = constant + array(layer.bias).astype(np.float64)
        axes["bias"] = ((-1, output.units),)
    constant = activations.at(layer.activation, [constant], 2, layer.compute_dtype)
    output = Channels(output.units, constant)
    return Step(layer, output, axes, positions=call.positions, at_borders=lost)


def merged(call: Call, units: Units) -> Step:
    """A sum, a product or the like: the units of its inputs can only go together."""
    first, *others = call.inputs
    if len({len(shape) for shape in call.input_shapes}) > 1:
        raise LeftAsItIs("its inputs are of different ranks")
    if any(len(other) != len(first) for other in others):
        raise LeftAsItIs("its inputs have different numbers of units")
    for other in others:
        units.tie(first.units, other.units)
    constant = call.of_constants()
    if isinstance(call.layer, keras.layers.Multiply | keras_internals.arithmetic()["Multiply"]):
        zero = np.any([each.constant == 0 for each in call.inputs], axis=0)
        constant = np.where(zero, 0, constant)
    return Step(call.layer, Channels(first.units, constant))


def concatenated(call: Call, units: Units) -> Step:
    """Units beside each other."""
    if call.layer.axis not in (-1, len(call.output_shape) - 1):
        raise LeftAsItIs(f"it joins axis {call.layer.axis}, which is not the last")
    together = np.concatenate([each.units for each in call.inputs])
    constant = np.concatenate([each.constant for each in call.inputs])
    return Step(call.layer, Channels(together, constant))
