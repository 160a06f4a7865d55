"""Conv-2: 2 convolutions and three dense layers, as in Frankle & Carbin 2019, figure 2."""

import keras

from experiments.networks import Optimizer, Preset
from experiments.networks._conv_pairs import pairs_of_convolutions

PRESET = Preset(
    optimizer=Optimizer("adam", 2e-4),
    batch_size=60,
    iterations=20_000,
    rate=0.2,
    overrides={"^conv": 0.1, "^output/": 0.1},
)


def build(shape: tuple[int, int, int], classes: int, seed: int = 0) -> keras.Model:
    """The network; 4,300,992 weights for CIFAR-10."""
    return pairs_of_convolutions("conv2", (64,), shape, classes, seed)
