"""Small `.tflite` files as TensorFlow makes them, each converted once."""

import functools

import keras
import numpy as np

from export import stock
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.format import flatbuffer


def pruned(model, sparsity=0.8, block=1):
    """The model, its smallest weights zero in blocks of `1 x block`; a tail block is kept."""
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            kernel = layer.kernel.numpy()
            whole = kernel.shape[-2] // block * block
            blocks = kernel[..., :whole, :].reshape(*kernel.shape[:-2], -1, block, kernel.shape[-1])
            scores = np.abs(blocks).sum(axis=-2, keepdims=True)
            blocks *= scores > np.quantile(scores, sparsity)
            layer.kernel.assign(kernel)
    return model


def dense_network(inputs=32, hidden=16, outputs=16, sparsity=0.8, block=1):
    keras.utils.set_random_seed(0)
    return pruned(
        keras.Sequential(
            [
                keras.Input((inputs,)),
                keras.layers.Dense(hidden, "relu", name="fc1"),
                keras.layers.Dense(outputs, name="output"),
            ]
        ),
        sparsity,
        block,
    )


def separable_network(sparsity=0.8):
    """A network that meets every condition of XNNPACK's sparse path."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return pruned(
        keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                layers.ZeroPadding2D(1),
                layers.Conv2D(8, 3, strides=2, name="stem"),
                layers.ReLU(6.0),
                layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
                layers.Conv2D(16, 1, name="pointwise"),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(4, name="output"),
            ]
        ),
        sparsity,
    )


def torn_network(sparsity=0.9):
    """A network of which XNNPACK misreads a feature map where it holds it channels first."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = x = keras.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, strides=2, name="stem")(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(64, 1, activation="relu", name="first")(x)
    x = x + np.linspace(0.1, 1, 64, dtype="float32")
    x = layers.Conv2D(64, 1, activation="relu", name="second")(x)
    return pruned(keras.Model(image, layers.GlobalAveragePooling2D()(x)), sparsity)


@functools.cache
def stock_file(mode, sparse=True, **network):
    """What TensorFlow's converter makes of a `dense_network`."""
    model = dense_network(**network)
    samples = np.random.default_rng(0).random((8, *model.input_shape[1:]), np.float32)
    return stock.convert(model, mode, samples, sparse)


@functools.cache
def separable_file():
    """The `separable_network` as TensorFlow's converter stores it sparsely."""
    return stock.convert(separable_network(), "float32")


@functools.cache
def dense_separable_file():
    """The `separable_network`, stored densely under Keras's names."""
    return prepare(separable_network()).dense_data


def tensor(data, index=0):
    """`(model, the index-th constant of rank 2)` of a file."""
    file = flatbuffer.read(data)
    found = [t for _, _, t in flatbuffer.constants(file) if len(t.shape) == 2]
    return file, found[index]
