"""Conv-6: 6 convolutions and three dense layers, as in Frankle & Carbin 2019, figure 2."""

import keras

from experiments.networks import Optimizer, Preset
from experiments.networks._conv_pairs import pairs_of_convolutions

PRESET = Preset(
    optimizer=Optimizer("adam", 3e-4),
    batch_size=60,
    iterations=30_000,
    rate=0.2,
    overrides={"^conv": 0.15, "^output/": 0.1},
)


def build(shape: tuple[int, int, int], classes: int, seed: int = 0) -> keras.Model:
    """The network; 2,261,184 weights for CIFAR-10 (the paper says 1.7 M)."""
    return pairs_of_convolutions("conv6", (64, 128, 256), shape, classes, seed)
