"""Networks of other kinds than those of `experiments.networks`, for the rule by which `kl.fit`
chooses between XLA and TensorFlow's own kernels.

Each is a function from the shape of the images to an uncompiled model of 10 classes.
"""

import keras
from keras import layers


def dropout(shape: tuple[int, int, int]) -> keras.Model:
    """Two hidden layers with Dropout."""
    hidden = [layers.Dense(300, "relu"), layers.Dropout(0.3), layers.Dense(100, "relu")]
    return keras.Sequential(
        [keras.Input(shape), layers.Flatten(), *hidden, layers.Dense(10)], name="dropout"
    )


def attention(shape: tuple[int, int, int]) -> keras.Model:
    """A Transformer block over the rows of the image."""
    images = keras.Input(shape)
    x = layers.Dense(32)(_rows(images))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 8)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, "gelu")(x)))
    return keras.Model(images, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def lstm(shape: tuple[int, int, int]) -> keras.Model:
    """An LSTM over the rows of the image."""
    images = keras.Input(shape)
    return keras.Model(images, layers.Dense(10)(layers.LSTM(64)(_rows(images))))


def _rows(images):
    return layers.Reshape((images.shape[1], -1))(images)
