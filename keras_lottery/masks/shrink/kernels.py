"""Layers whose kernel makes units of its own: each function is `(call, units) -> Step`."""

import keras
import numpy as np

from keras_lottery.masks.shrink import activations
from keras_lottery.masks.shrink.reading import Reading
from keras_lottery.masks.shrink.step import Axes, Call, LeftAsItIs, Step
from keras_lottery.masks.shrink.units import Channels, Units
from keras_lottery.model.arrays import array


def dense(call: Call, units: Units) -> Step:
    """A Dense layer, over the last axis of a tensor of any rank."""
    return _kernel(call, units, zeros_around=False, size="units")


def convolution(call: Call, units: Units) -> Step:
    """A convolution in one to three dimensions."""
    refuse_channels_first(call.layer)
    if call.layer.groups != 1:
        raise LeftAsItIs(f"it convolves in {call.layer.groups} groups")
    return _kernel(
        call, units, zeros_around=pads(call.layer) or call.inputs[0].bordered, size="filters"
    )


def pads(layer: keras.Layer) -> bool:
    """Return whether a convolution computes with zeros around its input."""
    return layer.padding != "valid" and any(size > 1 for size in layer.kernel_size)


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


def _kernel(call: Call, units: Units, *, zeros_around: bool, size: str) -> Step:
    layer, source = call.layer, call.inputs[0]
    refuse_other_kernels(layer)
    kernel = array(layer.kernel)
    bias = array(layer.bias) if layer.use_bias else None
    made = units.new(kernel.shape[-1])
    reading = Reading(kernel, bias, source, made, zeros_around)
    constant, whole = reading.constants(), ""
    if not activations.acts_by_unit(layer.activation):
        units.pin(made)
        whole = activations.reason(layer.activation)
        if not (activations.acts_over_units(layer.activation) and np.isfinite(constant).all()):
            constant = np.full(len(made), np.nan)
    constant = activations.at(layer.activation, [constant], 2, layer.compute_dtype)
    axes: dict[str, Axes] = {"kernel": ((-2, source.units), (-1, made))}
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
