"""Two small hidden layers for the 8x8 digits: a ticket in seconds. It is from no paper."""

import keras
from keras import layers

from experiments.networks import Optimizer, Preset, glorot

PRESET = Preset(
    optimizer=Optimizer("adam", 3e-3),
    batch_size=60,
    iterations=1_000,
    rate=0.2,
    overrides={"^output/": 0.1},
    validation=200,
    evaluate_every=20,
)


def build(shape: tuple[int, int, int], classes: int, seed: int = 0) -> keras.Model:
    """The network; 17,024 weights for the digits."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(name="flatten"),
            layers.Dense(128, "relu", name="fc1", kernel_initializer=glorot(seed, "fc1")),
            layers.Dense(64, "relu", name="fc2", kernel_initializer=glorot(seed, "fc2")),
            layers.Dense(classes, name="output", kernel_initializer=glorot(seed, "output")),
        ],
        name="digits_mlp",
    )
