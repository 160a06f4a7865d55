"""Weights are found among constants of the same size, and no constant passes for any weight."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_lottery.exporters.tflite.conversion import matching, source
from keras_lottery.exporters.tflite.format import flatbuffer


def side_by_side(first, second):
    """A model of two layers of one shape with these kernels, by name, and its dense file."""
    image = keras.Input((6,))
    stack = [layers.Dense(6, bias_initializer="ones", name=name)(image) for name in "ab"]
    model = keras.Model(image, layers.Concatenate()(stack))
    weights = {"a": first, "b": second}
    for name, value in weights.items():
        model.get_layer(name).kernel.assign(value)
    return weights, flatbuffer.read(source.prepare(model).dense)


@pytest.mark.parametrize("factor", [0, 2])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_each_of_two_proportional_kernels_finds_its_own(factor, order):
    values = np.random.default_rng(0).random((6, 6), np.float32)
    weights, dense = side_by_side(factor * values, values)
    found = matching.find({name: weights[name] for name in order}, dense)
    for name, weight in weights.items():
        tensor, axes = found[name]
        np.testing.assert_array_equal(flatbuffer.dense(dense, tensor), weight.T)
        np.testing.assert_array_equal(weight.transpose(axes), weight.T)
