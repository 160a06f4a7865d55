"""LeNet-300-100: two hidden layers, as in Frankle & Carbin 2019, figure 2."""

import keras
from keras import layers

from experiments.networks import Optimizer, Preset, glorot

PRESET = Preset(
    optimizer=Optimizer("adam", 1.2e-3),
    batch_size=60,
    iterations=50_000,
    rate=0.2,
    overrides={"^output/": 0.1},
)


def build(shape: tuple[int, int, int], classes: int, seed: int = 0) -> keras.Model:
    """The network; 266,200 weights for MNIST."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(name="flatten"),
            layers.Dense(300, "relu", name="fc1", kernel_initializer=glorot(seed, "fc1")),
            layers.Dense(100, "relu", name="fc2", kernel_initializer=glorot(seed, "fc2")),
            layers.Dense(classes, name="output", kernel_initializer=glorot(seed, "output")),
        ],
        name="lenet_300_100",
    )
