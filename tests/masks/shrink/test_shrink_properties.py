"""Random small networks: exactly the units go that are on no path of live weights."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from shrinking import assert_shrinks, randomise

import keras_lottery as kl


def on_a_path(masks):
    """For each layer, which units some path of live weights from input to output goes through.

    Counts paths, in both directions: nothing of how `shrink` does it.
    """
    forward = [np.ones(masks[0].shape[0])]
    for mask in masks:
        forward.append(forward[-1] @ mask)
    backward = [np.ones(masks[-1].shape[1])]
    for mask in reversed(masks):
        backward.insert(0, mask @ backward[0])
    return [a * b > 0 for a, b in zip(forward, backward, strict=True)][1:-1]


def check(model, masks, names):
    """Shrink a chain, and compare its units with those on a path."""
    alive = [int(units.sum()) for units in on_a_path(masks)]
    if not alive[0]:  # nothing passes at all
        with pytest.raises(ValueError, match="is alive"):
            kl.shrink(model)
    else:
        assert_shrinks(model, **dict(zip(names, alive, strict=True)))


def masks_of(model, kind):
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, kind)]
    arrays = [np.array(keras.ops.convert_to_numpy(kernel)) != 0 for kernel in kernels]
    return [array.any(axis=tuple(range(array.ndim - 2))).astype(float) for array in arrays]


@given(
    widths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    activation=st.sampled_from(["relu", "tanh", "gelu", "linear"]),
    normalised=st.booleans(),
    sparsity=st.floats(0, 0.9),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_chains_of_dense_layers(widths, activation, normalised, sparsity, seed):
    names = [f"fc{index}" for index in range(len(widths))]
    stack = [keras.Input((4,))]
    for name, width in zip(names, widths, strict=True):
        stack.append(layers.Dense(width, activation, name=name))
        stack += [layers.BatchNormalization()] * normalised
        stack.append(layers.Dropout(0.1))
    stack.append(layers.Dense(3, name="output"))
    model = randomise(keras.Sequential(stack), sparsity, seed)
    check(model, masks_of(model, layers.Dense), names)


@given(
    filters=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    padding=st.sampled_from(["same", "valid"]),
    pooling=st.booleans(),
    sparsity=st.floats(0.3, 0.95),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_chains_of_convolutions(filters, padding, pooling, sparsity, seed):
    """Biases below zero, so that constants end at the ReLU, and no border keeps them."""
    names = [f"conv{index}" for index in range(len(filters))]
    stack = [keras.Input((8, 8, 2))]
    for name, count in zip(names, filters, strict=True):
        stack.append(layers.Conv2D(count, 2, padding=padding, activation="relu", name=name))
    stack += [layers.MaxPooling2D()] * pooling
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(3, name="output")]
    model = randomise(keras.Sequential(stack), sparsity, seed)
    masks = masks_of(model, (layers.Conv2D, layers.Dense))
    for name in names:
        bias = model.get_layer(name).bias
        bias.assign(-abs(keras.ops.convert_to_numpy(bias)))
    check(model, masks, names)


def random_graph(rng):
    """A functional model of random layers over random earlier tensors, with random weights."""
    given = keras.Input((5, 5, 2))
    tensors = [given]
    for _ in range(rng.integers(2, 8)):
        x = tensors[rng.integers(len(tensors))]
        alike = [y for y in tensors if y.shape == x.shape]
        other = alike[rng.integers(len(alike))]
        beside = [y for y in tensors if y.shape[:-1] == x.shape[:-1]]
        padding = str(rng.choice(["same", "valid"]))
        makers = [
            lambda x=x: layers.Conv2D(int(rng.integers(1, 6)), 1, use_bias=bool(rng.integers(2)))(
                x
            ),
            lambda x=x, p=padding: layers.Conv2D(4, 2, padding=p, activation="relu")(x),
            lambda x=x, p=padding: layers.SeparableConv2D(3, 2, padding=p, use_bias=False)(x),
            lambda x=x, p=padding: layers.DepthwiseConv2D(2, padding=p, activation="relu")(x),
            lambda x=x: layers.BatchNormalization()(x),
            lambda x=x: layers.Activation("gelu")(x),
            lambda x=x: layers.ReLU()(x),
            lambda x=x: layers.AveragePooling2D(2, strides=1, padding="same")(x),
            lambda x=x: layers.ZeroPadding2D(1)(x),
            lambda x=x, y=other: layers.Add()([x, y]),
            lambda x=x, y=other: layers.Multiply()([x, y]),
            lambda x=x, y=other: layers.Maximum()([x, y]),
            lambda x=x, ys=beside: layers.Concatenate()([x, ys[rng.integers(len(ys))]]),
            lambda x=x: layers.Softmax()(x),
        ]
        pick = makers[rng.integers(len(makers))]
        if min(x.shape[1:3]) > 1:
            tensors.append(pick())
    last = layers.Flatten() if rng.integers(2) else layers.GlobalAveragePooling2D()
    outputs = [layers.Dense(3, "softmax")(layers.Dense(5, "relu")(last(tensors[-1])))]
    if rng.integers(2):
        outputs.append(tensors[rng.integers(1, len(tensors))])
    model = keras.Model(given, outputs)
    return randomise(model, rng.uniform(0.2, 0.95), int(rng.integers(1000)))


def assert_answers_alike(seed):
    model = random_graph(np.random.default_rng(seed))
    try:
        assert_shrinks(model)
    except ValueError as error:
        assert "has the same outputs for every input" in str(error)


@pytest.mark.parametrize("seed", range(15))
def test_graphs_of_random_layers(seed):
    assert_answers_alike(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(15, 400))
def test_many_graphs_of_random_layers(seed):
    assert_answers_alike(seed)
