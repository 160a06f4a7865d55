"""The common part of Conv-2, Conv-4 and Conv-6."""

import keras
from keras import layers

from experiments.networks import glorot


def pairs_of_convolutions(
    name: str, widths: tuple[int, ...], shape: tuple[int, int, int], classes: int, seed: int
) -> keras.Model:
    """Pairs of 3x3 convolutions with pooling after each pair, then dense layers of 256 and 256.

    Args:
        name: The model's name.
        widths: The channels of each pair.
        shape: Height, width and channels of an image.
        classes: The number of logits.
        seed: Seed of the initial weights.

    Returns:
        A `keras.Model` with layers conv1, conv2, ..., fc1, fc2, output.
    """
    pairs = []
    for pair, width in enumerate(widths, start=1):
        pairs += [
            _convolution(width, f"conv{2 * pair - 1}", seed),
            _convolution(width, f"conv{2 * pair}", seed),
            layers.MaxPooling2D(name=f"pool{pair}"),
        ]
    return keras.Sequential(
        [
            keras.Input(shape),
            *pairs,
            layers.Flatten(name="flatten"),
            layers.Dense(256, "relu", name="fc1", kernel_initializer=glorot(seed, "fc1")),
            layers.Dense(256, "relu", name="fc2", kernel_initializer=glorot(seed, "fc2")),
            layers.Dense(classes, name="output", kernel_initializer=glorot(seed, "output")),
        ],
        name=name,
    )


def _convolution(width: int, name: str, seed: int) -> keras.Layer:
    kernel = glorot(seed, name)
    return layers.Conv2D(
        width, 3, padding="same", activation="relu", name=name, kernel_initializer=kernel
    )
