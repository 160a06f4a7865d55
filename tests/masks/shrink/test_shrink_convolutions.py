"""Channels: convolutions, borders, pooling, Flatten, depthwise convolutions."""

import keras
import numpy as np
import pytest
from keras import layers
from shrinking import assert_shrinks, randomise, silence

import keras_lottery as kl


def image_model(*stack, shape=(6, 6, 2)):
    model = keras.Sequential([keras.Input(shape), *stack])
    return randomise(model, 0)


def bias_of(model, name, values):
    model.get_layer(name).bias.assign(values)


def test_an_image_becomes_blocks_of_inputs():
    model = image_model(
        layers.Conv2D(3, 3, activation="relu", name="conv"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(4, name="output"),
    )
    silence(model.layers[0], outputs=[1])
    bias_of(model, "conv", [1.0, 2.0, 3.0])
    small = assert_shrinks(model, conv=2, output=4)
    before, after = (keras.ops.convert_to_numpy(m.layers[-1].kernel) for m in (model, small))
    np.testing.assert_array_equal(after, before.reshape(4, 3, 4)[:, [0, 2]].reshape(8, 4))
    added = keras.ops.convert_to_numpy(small.layers[-1].bias - model.layers[-1].bias)
    np.testing.assert_allclose(added, 2.0 * before.reshape(4, 3, 4)[:, 1].sum(axis=0), rtol=1e-6)


def test_a_channel_is_read_if_any_of_its_positions_is():
    model = image_model(
        layers.Conv2D(3, 3, name="conv"), layers.Flatten(), layers.Dense(1, name="output")
    )
    kernel = np.zeros((4 * 4, 3, 1))
    kernel[5, 1] = 1
    model.layers[-1].kernel.assign(kernel.reshape(48, 1))
    assert_shrinks(model, conv=1)


@pytest.mark.parametrize(
    "pooling",
    [
        layers.MaxPooling2D(2, padding="same"),
        layers.AveragePooling2D(4, strides=3, padding="same"),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.Cropping2D(1),
        layers.SpatialDropout2D(0.2),
        layers.Reshape((36, 4)),
        layers.Reshape((9, -1)),
    ],
    ids=lambda layer: layer.name,
)
@pytest.mark.parametrize("last", [layers.Flatten, layers.GlobalAveragePooling2D])
def test_a_constant_goes_through_what_looks_at_neighbours(pooling, last):
    flat = isinstance(pooling, layers.Reshape)
    stack = [
        layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
        type(pooling).from_config(pooling.get_config()),
        layers.GlobalMaxPooling1D() if flat and last is not layers.Flatten else last(),
        layers.Dense(2, name="output"),
    ]
    model = image_model(*stack)
    silence(model.layers[0], outputs=[1, 2])
    bias_of(model, "conv", [1.0, 2.0, -3.0, 4.0])
    assert_shrinks(model, conv=2)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_in_every_rank(rank):
    convolution = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
    model = image_model(
        convolution(4, 2, name="a"),
        convolution(3, 2, activation="relu", use_bias=False, name="b"),
        convolution(2, 1, padding="same", strides=2, name="output"),
        shape=(5,) * rank + (2,),
    )
    silence(model.layers[0], outputs=[0])
    silence(model.layers[1], outputs=[2])
    small = assert_shrinks(model, a=3, b=2)
    assert small.get_layer("b").use_bias


def test_a_constant_of_zero_is_in_the_padding_too():
    model = image_model(
        layers.Conv2D(4, 3, activation="relu", name="a"),
        layers.Conv2D(2, 3, padding="same", name="output"),
    )
    silence(model.layers[0], outputs=[0, 3])
    bias_of(model, "a", [-1.0, 2.0, 3.0, 0.0])
    assert_shrinks(model, a=2)
    assert not kl.shrink_report(model).notes


@pytest.mark.parametrize(
    "convolution, shape",
    [
        (lambda: layers.Conv2D(2, 3, padding="same", name="output"), (6, 6, 2)),
        (lambda: layers.Conv1D(2, 3, padding="causal", name="output"), (6, 2)),
    ],
)
def test_at_a_border_one_constant_unit_carries_the_others(convolution, shape):
    """Its kernel takes over theirs: no bias has the constants inside and not at the border."""
    first = layers.Conv2D if len(shape) == 3 else layers.Conv1D
    model = image_model(first(5, 1, activation="relu", name="a"), convolution(), shape=shape)
    silence(model.layers[0], outputs=[0, 2, 4])
    bias_of(model, "a", [1.0, 2.0, 8.0, 0.5, -4.0])
    small = assert_shrinks(model, a=3)
    assert keras.ops.convert_to_numpy(small.layers[0].bias).tolist() == [2, 8, 0.5]
    before, after = (keras.ops.convert_to_numpy(m.layers[1].kernel) for m in (model, small))
    np.testing.assert_allclose(
        after[..., 1, :], before[..., 2, :] + before[..., 0, :] / 8, rtol=1e-6
    )
    expected = "1 constant unit stays before 'output', with zeros around it."
    assert kl.shrink_report(model).notes == (expected,)


def test_behind_a_border_a_unit_that_reads_constants_is_alive():
    model = image_model(
        layers.Conv2D(3, 1, activation="relu", name="a"),
        layers.Conv2D(2, 3, padding="same", name="b"),
        layers.Conv2D(2, 1, name="output"),
    )
    silence(model.layers[0], outputs=[0])
    bias_of(model, "a", [1.0, 2.0, 3.0])
    kernel = np.zeros((3, 3, 3, 2))
    kernel[..., 0, 0] = 1  # b's first unit reads the constant alone, its second all others
    kernel[..., 1:, 1] = 1
    model.layers[1].kernel.assign(kernel)
    assert_shrinks(model, a=3, b=2)
    bias_of(model, "a", [-1.0, 2.0, 3.0])
    assert_shrinks(model, a=2, b=1)


def separable(padding, constant):
    """A depthwise convolution between 1x1 ones; two channels before it are dead."""
    model = image_model(
        layers.Conv2D(4, 1, activation="relu6", name="a"),
        layers.DepthwiseConv2D(3, padding=padding, depth_multiplier=2, name="depthwise"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(2, 1, name="output"),
    )
    silence(model.layers[0], outputs=[1, 2])
    bias_of(model, "a", [1.0, constant, constant, 2.0])
    return model


@pytest.mark.parametrize("padding, constant", [("valid", 3.0), ("same", -1.0)])
def test_a_dead_channel_takes_its_filters_along(padding, constant):
    small = assert_shrinks(separable(padding, constant), a=2)
    assert small.get_layer("depthwise").kernel.shape == (3, 3, 2, 2)
    assert small.layers[2].gamma.shape == (4,)


def test_depthwise_filters_do_not_carry_each_other():
    model = separable("same", 3.0)
    assert_shrinks(model, a=4)
    expected = "2 constant units stay before 'depthwise', with zeros around them."
    assert kl.shrink_report(model).notes == (expected,)


@pytest.mark.parametrize(
    "padding, constant, left", [("valid", 3, 2), ("same", -1, 2), ("same", 3, 4)]
)
@pytest.mark.parametrize("rank", [1, 2])
def test_separable_convolutions(padding, constant, left, rank):
    first = (layers.Conv1D, layers.Conv2D)[rank - 1]
    middle = (layers.SeparableConv1D, layers.SeparableConv2D)[rank - 1]
    model = image_model(
        first(4, 1, activation="relu", name="a"),
        middle(5, 3, padding=padding, depth_multiplier=2, activation="relu", name="separable"),
        first(2, 1, name="output"),
        shape=(6,) * rank + (2,),
    )
    silence(model.layers[0], outputs=[1, 2])
    silence(model.layers[2], inputs=[0, 4])
    bias_of(model, "a", [1.0, constant, constant, 2.0])
    small = kl.shrink(model)
    assert small.get_layer("separable").pointwise_kernel.shape[-2:] == (2 * left, 3)
    assert small.get_layer("separable").depthwise_kernel.shape[-2:] == (left, 2)
    assert_shrinks(model, a=left, output=2)


def test_a_filter_of_zeros_makes_its_channel_constant():
    model = separable("valid", 3.0)
    randomise(model, 0)
    kernel = np.ones((3, 3, 4, 2))
    kernel[..., 0, :] = 0
    kernel[..., 1, 1] = 0  # the other filter of this channel is alive
    model.get_layer("depthwise").kernel.assign(kernel)
    assert_shrinks(model, a=3)


@pytest.mark.parametrize("constant, left", [(0.0, 2), (3.0, 3)])
def test_zeros_around_an_image(constant, left):
    """As where the convolution pads: one constant unit carries the other."""
    model = image_model(
        layers.Conv2D(4, 1, name="a"),
        layers.ZeroPadding2D(1, name="pad"),
        layers.ZeroPadding2D(1),
        layers.Conv2D(2, 3, name="output"),
    )
    silence(model.layers[0], outputs=[1, 3])
    bias_of(model, "a", [1.0, constant, 2.0, constant])
    assert_shrinks(model, a=left)


def test_zeros_that_something_else_looks_at():
    model = image_model(
        layers.Conv2D(4, 1, name="a"),
        layers.ZeroPadding2D(1, name="pad"),
        layers.MaxPooling2D(name="pool"),
        layers.Conv2D(2, 3, name="output"),
    )
    silence(model.layers[0], outputs=[1, 3])
    bias_of(model, "a", [1.0, 3.0, 2.0, 0.0])
    assert_shrinks(model, a=3)
    expected = "1 constant unit stays before 'pool', with zeros around it."
    assert kl.shrink_report(model).notes == (expected,)


def test_images_of_any_size():
    model = image_model(
        layers.Conv2D(4, 3, padding="same", activation="relu", name="a"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, name="output"),
        shape=(None, None, 2),
    )
    silence(model.layers[0], outputs=[1])
    small = kl.shrink(model)
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 2)).astype("float32")
    before, after = (keras.ops.convert_to_numpy(one(x)) for one in (model, small))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5)
    assert kl.shrink_report(model).multiplications is None
    assert kl.shrink_report(model).units["a"] == (4, 3)


def test_multiplications():
    model = image_model(
        layers.Conv2D(3, 3, name="a"),
        layers.DepthwiseConv2D(3, name="depthwise"),
        layers.Flatten(),
        layers.Dense(5, name="output"),
    )
    silence(model.layers[0], outputs=[1])
    before = 16 * 9 * 2 * 3 + 4 * 9 * 3 + 4 * 3 * 5
    after = 16 * 9 * 2 * 2 + 4 * 9 * 2 + 4 * 2 * 5
    assert kl.shrink_report(model).multiplications == (before, after)
