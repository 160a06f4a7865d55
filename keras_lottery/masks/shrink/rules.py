"""Which layers shrinking understands: a rule for each class, and none for its subclasses."""

import dataclasses
from collections.abc import Callable

import numpy as np
from keras import layers

from keras_lottery.masks.shrink import kernels, passing
from keras_lottery.masks.shrink.step import Call, LeftAsItIs, Step
from keras_lottery.masks.shrink.units import Units
from keras_lottery.model import keras_internals

_UNCHANGED = (
    "ActivityRegularization AlphaDropout AveragePooling1D AveragePooling2D AveragePooling3D "
    "Cropping1D Cropping2D Cropping3D Dropout GaussianDropout GaussianNoise "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D Identity "
    "MaxPooling1D MaxPooling2D MaxPooling3D SpatialDropout1D SpatialDropout2D SpatialDropout3D "
    "UpSampling1D UpSampling2D UpSampling3D"
)
_RULES: dict[Callable[[Call, Units], Step], str] = {
    kernels.dense: "Dense",
    kernels.convolution: "Conv1D Conv2D Conv3D",
    kernels.separable: "SeparableConv1D SeparableConv2D",
    passing.unchanged: _UNCHANGED,
    passing.by_unit: "Activation ELU LeakyReLU ReLU Rescaling",
    passing.over_units: "Softmax",
    passing.batch_normalization: "BatchNormalization",
    passing.prelu: "PReLU",
    passing.zero_padding: "ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    passing.repeated: "Flatten Reshape",
    passing.depthwise: "DepthwiseConv1D DepthwiseConv2D",
    passing.merged: "Add Average Maximum Minimum Multiply Subtract",
    passing.concatenated: "Concatenate",
}
_BY_CLASS = {
    getattr(layers, name): rule for rule, names in _RULES.items() for name in names.split()
}
_BY_CLASS.update(dict.fromkeys(keras_internals.arithmetic().values(), passing.merged))

# The others see constants only where they are at the borders, too.
_KNOW_BORDERS = (kernels.convolution, kernels.separable, passing.depthwise, passing.zero_padding)


def step_of(call: Call, units: Units) -> Step:
    """Return what shrinking knows of a call.

    Raises:
        LeftAsItIs: If that is nothing; the message says why.
    """
    rule = _BY_CLASS.get(type(call.layer))
    if rule is None:
        raise LeftAsItIs(f"{type(call.layer).__name__} is none of the layers that shrink knows")
    if rule in _KNOW_BORDERS:
        return rule(call, units)
    step = rule(dataclasses.replace(call, inputs=[one.everywhere() for one in call.inputs]), units)
    lost = np.concatenate([step.at_borders, *(one.at_borders for one in call.inputs)])
    return dataclasses.replace(step, at_borders=lost)
