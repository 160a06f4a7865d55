"""Keras models of every kind that the exporter takes, small, their smallest weights pruned."""

import keras
import numpy as np
from keras import layers


def prune(model, sparsity=0.8, seed=0):
    """The model with random weights zero, and with biases and statistics that are not."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = variable.numpy()
        if value.dtype.kind != "f":
            continue
        if "bias" in variable.name or value.ndim < 2:
            variable.assign(value + 0.1 * rng.random(value.shape))
        else:
            variable.assign(value * (rng.random(value.shape) >= sparsity))
    return model


def sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(24, "relu")
        self.scores = layers.Dense(3)

    def call(self, x):
        return self.scores(self.hidden(x))


def subclassed():
    model = Subclassed()
    model(np.zeros((2, 40), np.float32))
    return model


def nested():
    inner = _stack((8, 8, 3), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU())
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(inner(image))))


def two_inputs_two_outputs():
    first, second = keras.Input((4,), name="first"), keras.Input((30,), name="second")
    x = layers.Concatenate()([layers.Dense(25)(second), layers.Dense(6)(first)])
    outputs = [layers.Dense(2, name="two")(x), layers.Dense(3, name="three")(x)]
    return keras.Model({"second": second, "first": first}, outputs)


def shared_layer():
    image, dense = keras.Input((24,)), layers.Dense(24)
    return keras.Model(image, dense(dense(image)))


def attention():
    sequence = keras.Input((6, 16))
    x = layers.MultiHeadAttention(2, 8)(sequence, sequence)
    return keras.Model(sequence, layers.Dense(3)(layers.LayerNormalization()(x)))


def mixed_precision():
    dense = layers.Dense(24, "relu", dtype="mixed_float16")
    return _stack((30,), dense, layers.Dense(3, dtype="float32"))


def lstm():
    return _stack((6, 12), layers.LSTM(8), layers.Dense(3))


def unrolled_lstm():
    return _stack((6, 12), layers.LSTM(8, unroll=True), layers.Dense(3))


def gru():
    return _stack((6, 12), layers.GRU(8), layers.Dense(3))


def bidirectional():
    return _stack((6, 12), layers.Bidirectional(layers.LSTM(5)), layers.Dense(3))


def recurrent_in_pieces():
    """Their kernels are used in pieces, of one gate or two."""
    return _stack(
        (6, 12),
        layers.GRU(8, reset_after=False, return_sequences=True),
        layers.LSTM(8, implementation=1, unroll=True),
        layers.Dense(3),
    )


def convolutional_lstm():
    return _stack((4, 6, 6, 2), layers.ConvLSTM2D(4, 3), layers.Flatten(), layers.Dense(3))


def recurrent_over_sequences():
    return _stack(
        (6, 12),
        layers.LSTM(8, return_sequences=True),
        layers.Bidirectional(layers.GRU(5, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(3)),
    )


def embedding():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(80, 16)(tokens))
    return keras.Model(tokens, layers.Dense(3)(x))


def separable_convolutions():
    return _stack(
        (8, 8, 3),
        layers.SeparableConv2D(32, 3),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.Flatten(),
        layers.Dense(3),
    )


def convolutions_1d():
    return _stack(
        (12, 8),
        layers.Conv1D(16, 3),
        layers.DepthwiseConv1D(3),
        layers.SeparableConv1D(4, 2),
        layers.Flatten(),
        layers.Dense(3),
    )


def transposed_convolution():
    return _stack((4, 4, 8), layers.Conv2DTranspose(8, 3, strides=2), layers.Conv2D(1, 1))


def convolution_3d():
    return _stack((5, 5, 5, 4), layers.Conv3D(8, 3), layers.Flatten(), layers.Dense(3))


def einsum():
    dense = layers.EinsumDense("abc,cd->abd", output_shape=(6, 20), bias_axes="d")
    return _stack((6, 20), dense, layers.Flatten(), layers.Dense(3))


def dense_over_a_sequence():
    return _stack((6, 20), layers.Dense(30, "relu"), layers.Dense(5))


def dense_over_single_values():
    return _stack((6, 1), layers.Dense(30, "relu"), layers.Dense(30))


def grouped_and_dilated():
    return _stack(
        (9, 9, 4),
        layers.Conv2D(8, 3, groups=2),
        layers.Conv2D(8, 3, dilation_rate=2),
        layers.GroupNormalization(2),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    )


def _stack(shape, *stacked):
    return keras.Sequential([keras.Input(shape), *stacked])


KINDS = [
    sequential,
    subclassed,
    nested,
    two_inputs_two_outputs,
    shared_layer,
    attention,
    mixed_precision,
    lstm,
    unrolled_lstm,
    gru,
    bidirectional,
    recurrent_over_sequences,
    recurrent_in_pieces,
    convolutional_lstm,
    embedding,
    separable_convolutions,
    convolutions_1d,
    transposed_convolution,
    convolution_3d,
    einsum,
    dense_over_a_sequence,
    dense_over_single_values,
    grouped_and_dilated,
]
