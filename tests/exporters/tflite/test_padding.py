"""Symmetric padding: the layers, and that the network they make qualifies."""

import keras
import pytest
import sample_files

from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.padding import symmetric
from keras_lottery.exporters.tflite.runtimes import xnnpack


@pytest.mark.parametrize(("size", "margin"), [(3, 1), (5, 2)])
def test_the_padding_is_half_the_kernel(size, margin):
    padding, layer = symmetric(keras.layers.DepthwiseConv2D(size, strides=2, name="down"))
    assert padding.padding == ((margin, margin), (margin, margin))
    assert (padding.name, layer.name) == ("down_padding", "down")


def test_a_network_of_such_layers_meets_xnnpacks_structure():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            *symmetric(layers.Conv2D(8, 3, strides=2)),
            layers.ReLU(6.0),
            *symmetric(layers.DepthwiseConv2D(5, strides=2)),
            layers.Conv2D(16, 1),
            layers.GlobalAveragePooling2D(),
        ]
    )
    path = xnnpack.sparse_path(flatbuffer.read(prepare(model).dense_data))
    assert path.structure == ()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.Dense(3), "Dense"),
        (keras.layers.Conv2D(3, 2), "kernel"),
        (keras.layers.Conv2D(3, 3, padding="same"), "'same'"),
    ],
)
def test_what_needs_no_such_padding_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        symmetric(layer)


def test_the_sample_network_qualifies_without_the_helper():
    assert xnnpack.sparse_path(flatbuffer.read(sample_files.separable_file())).taken
