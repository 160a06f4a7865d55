"""Weights are found among constants of the same size, and no constant passes for any weight."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from keras_lottery.exporters.tflite.conversion import matching
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.format import flatbuffer, levels


def side_by_side(first, second):
    """A model of two layers of one shape with these kernels, by name, and its dense file."""
    image = keras.Input((6,))
    stack = [layers.Dense(6, bias_initializer="ones", name=name)(image) for name in "ab"]
    model = keras.Model(image, layers.Concatenate()(stack))
    weights = {"a": first, "b": second}
    for name, value in weights.items():
        model.get_layer(name).kernel.assign(value)
    return weights, flatbuffer.read(prepare(model).dense_data)


@pytest.mark.parametrize("factor", [0, 2])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_each_of_two_proportional_kernels_finds_its_own(factor, order):
    values = np.random.default_rng(0).random((6, 6), np.float32)
    weights, dense = side_by_side(factor * values, values)
    found = matching.find({name: weights[name] for name in order}, dense)
    for name, weight in weights.items():
        tensor, axes = found[name]
        np.testing.assert_array_equal(flatbuffer.values(dense, tensor), weight.T)
        np.testing.assert_array_equal(weight.transpose(axes), weight.T)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_kernels_whose_zeros_are_nested_find_their_own(order):
    """Each is scaled by a normalisation, and has the zeros of those before it and more."""
    rng = np.random.default_rng(0)
    kernels = [rng.random((3, 3, 4, 6)).astype(np.float32)]
    for channel in range(2):
        kernels.append(kernels[-1] * (np.arange(6) != channel))
    image = keras.Input((6, 6, 4))
    branches = []
    for number in order:
        convolution = layers.Conv2D(6, 3, use_bias=False, name=f"c{number}")
        normalised = layers.BatchNormalization(gamma_initializer="random_uniform")
        branches.append(normalised(convolution(image)))
        convolution.kernel.assign(kernels[number])
    source = prepare(keras.Model(image, layers.Concatenate()(branches)))
    dense = {
        levels.name(t): (t, m)
        for m in [flatbuffer.read(source.dense_data)]
        for *_, t in flatbuffer.constants(m)
    }
    for number in order:
        tensor, model = dense[f"c{number}/kernel"]
        found = flatbuffer.values(model, tensor)
        assert np.count_nonzero(found) == np.count_nonzero(kernels[number])


def test_a_vector_is_no_kernel_of_one_output():
    kernel, bias = np.array([[1.0], [2.0], [3.0]]), np.array([7.0, 5.0, 3.0])
    assert matching.order_of(bias, kernel) is None
    assert matching.order_of(2 * kernel.reshape(1, 3), kernel) is not None


def test_gates_that_are_equal_or_zero_are_one_piece():
    model = keras.Sequential([keras.Input((6, 12)), layers.LSTM(8, implementation=1, name="lstm")])
    kernel = model.layers[0].cell.kernel.numpy().reshape(12, 4, 8)
    kernel[:, 3], kernel[:, 1] = kernel[:, 0], 0
    model.layers[0].cell.kernel.assign(kernel.reshape(12, 32))
    source = prepare(model)
    pieces = {name for name in source.orders if name.startswith("lstm/lstm_cell/kernel")}
    assert pieces == {"lstm/lstm_cell/kernel[0]", "lstm/lstm_cell/kernel[2]"}


def test_a_kernel_of_one_input_that_a_normalisation_scales_value_by_value():
    """A factor for each value makes it any vector: its zeros tell which one."""
    keras.utils.set_random_seed(0)
    stack = [
        keras.Input((4, 4, 1)),
        keras.layers.Conv2D(3, 1, use_bias=False, name="first"),
        keras.layers.BatchNormalization(
            gamma_initializer=keras.initializers.RandomNormal(seed=1), name="norm"
        ),
        keras.layers.Conv2D(2, 1, use_bias=False, name="second"),
    ]
    model = keras.Sequential(stack)
    model.get_layer("first").kernel.assign([[[[0.0, -0.5, 0.25]]]])
    model.get_layer("norm").moving_variance.assign([2.0, 3.0, 4.0])
    assert "first/kernel" in prepare(model).orders


def test_a_depthwise_kernel_of_width_1_that_a_normalisation_scales_value_by_value():
    keras.utils.set_random_seed(0)
    stack = [
        keras.Input((4, 4, 2)),
        keras.layers.DepthwiseConv2D(1, depth_multiplier=3, use_bias=False, name="first"),
        keras.layers.BatchNormalization(
            gamma_initializer=keras.initializers.RandomNormal(seed=1), name="norm"
        ),
        keras.layers.Dense(2, use_bias=False, name="second"),
    ]
    model = keras.Sequential(stack)
    model.get_layer("first").kernel.assign([[[[0.0, -0.5, 0.25], [1.0, 0.0, 2.0]]]])
    model.get_layer("norm").moving_variance.assign([2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert "first/kernel" in prepare(model).orders


@pytest.mark.parametrize(
    "constant, weight",
    [
        ([[0.0, 2.0, 3.0]], [[1.0, 0.0, 2.0]]),
        ([[0.0, 2.0, 0.0]], [[0.0, 1.0, 2.0]]),
        ([0.0, 2.0, 3.0], [[0.0, 1.0, 2.0]]),
        ([[1.0, 2.0, 3.0]], [[3.0, 1.0, 2.0]]),
        ([[0.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [2.0, 5.0]]),
    ],
    ids=["other zeros", "more zeros", "a bias", "no zeros", "no vector"],
)
def test_zeros_alone_do_not_tell(constant, weight):
    assert matching._order_by_zeros(np.array(constant), np.array(weight)) is None
