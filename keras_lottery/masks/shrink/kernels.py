"""Layers whose kernel makes units of its own: each function is `(call, units) -> Step`."""

import dataclasses

import keras
import numpy as np

from keras_lottery.masks.shrink import activations
from keras_lottery.masks.shrink.filters import filtered, pads
from keras_lottery.masks.shrink.reading import Reading
from keras_lottery.masks.shrink.step import Axes, Call, LeftAsItIs, Step
from keras_lottery.masks.shrink.units import Channels, Units
from keras_lottery.model.arrays import array


def dense(call: Call, units: Units) -> Step:
    """A Dense layer, over the last axis of a tensor of any rank."""
    return _kernel(call, units, call.inputs[0], zeros_around=False, size="units")


def convolution(call: Call, units: Units) -> Step:
    """A convolution in one to three dimensions."""
    refuse_channels_first(call.layer)
    if call.layer.groups != 1:
        raise LeftAsItIs(f"it convolves in {call.layer.groups} groups")
    source = call.inputs[0]
    zeros_around = pads(call.layer) or source.bordered
    return _kernel(call, units, source, zeros_around=zeros_around, size="filters")


def separable(call: Call, units: Units) -> Step:
    """A separable convolution: depthwise filters, and a 1x1 convolution of what they give."""
    refuse_channels_first(call.layer)
    layer, source = call.layer, call.inputs[0]
    zeros_around = pads(layer) or source.bordered
    between, lost = filtered(source, array(layer.depthwise_kernel), zeros_around)
    step = _kernel(
        call, units, between, zeros_around=False, size="filters", kernel="pointwise_kernel"
    )
    axes = {"depthwise_kernel": ((-2, source.units),), **step.axes}
    return dataclasses.replace(step, axes=axes, at_borders=lost)


def refuse_channels_first(layer: keras.Layer) -> None:
    """Refuse a layer whose units are not along the last axis."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise LeftAsItIs("its channels come first")


def refuse_other_kernels(layer: keras.Layer) -> None:
    """Refuse a layer that computes with another kernel than the one it stores."""
    if getattr(layer, "lora_enabled", False):
        raise LeftAsItIs("LoRA is enabled in it")
    if getattr(layer, "quantization_mode", None) is not None:
        raise LeftAsItIs("it is quantized")


def _kernel(
    call: Call,
    units: Units,
    source: Channels,
    *,
    zeros_around: bool,
    size: str,
    kernel: str = "kernel",
) -> Step:
    """The step of a layer whose variable `kernel` reads `source`; `size` counts its outputs."""
    layer = call.layer
    refuse_other_kernels(layer)
    values = array(getattr(layer, kernel))
    bias = array(layer.bias) if layer.use_bias else None
    made = units.new(values.shape[-1])
    reading = Reading(values, bias, source, made, zeros_around, kernel)
    constant, whole = reading.constants(), ""
    if not activations.acts_by_unit(layer.activation):
        units.pin(made)
        whole = activations.reason(layer.activation)
        if not (activations.acts_over_units(layer.activation) and np.isfinite(constant).all()):
            constant = np.full(len(made), np.nan)
    constant = activations.at(layer.activation, [constant], 2, layer.compute_dtype)
    axes: dict[str, Axes] = {kernel: ((-2, source.units), (-1, made))}
    if layer.use_bias:
        axes["bias"] = ((-1, made),)
    return Step(
        layer,
        Channels(made, constant),
        axes,
        resized=lambda count: {size: count},
        reading=reading,
        positions=call.positions,
        whole=whole,
        at_borders=reading.at_borders(),
    )
