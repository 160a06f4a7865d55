"""VGG-19 with batch normalisation for CIFAR-10, as in Frankle & Carbin 2019, section 4."""

import keras
from keras import layers

from experiments.networks import Optimizer, Preset, glorot

# The paper: at a learning rate of 0.1 there are tickets only after a warm-up of 10,000 iterations.
PRESET = Preset(
    optimizer=Optimizer("momentum", 0.1, warm_up=10 / 112, drops=(1 / 2, 3 / 4)),
    batch_size=64,
    iterations=112_000,
    rate=0.2,
    scope="globally",
    exclude="^output/",
)

# (channels, convolutions) of each stage.
STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))


def build(shape: tuple[int, int, int], classes: int, seed: int = 0) -> keras.Model:
    """The network; 20,018,880 convolution weights for CIFAR-10."""
    stages = []
    for stage, (width, convolutions) in enumerate(STAGES, start=1):
        for convolution in range(1, convolutions + 1):
            stages += _convolution(width, f"stage{stage}_conv{convolution}", seed)
        stages.append(layers.MaxPooling2D(name=f"pool{stage}"))
    return keras.Sequential(
        [
            keras.Input(shape),
            *stages[:-1],  # The last stage is pooled as a whole.
            layers.GlobalAveragePooling2D(name="pool5"),
            layers.Dense(classes, name="output", kernel_initializer=glorot(seed, "output")),
        ],
        name="vgg19",
    )


def _convolution(width: int, name: str, seed: int) -> list[keras.Layer]:
    kernel = glorot(seed, name)
    return [
        layers.Conv2D(width, 3, 1, "same", use_bias=False, name=name, kernel_initializer=kernel),
        layers.BatchNormalization(name=f"{name}_norm"),
        layers.ReLU(name=f"{name}_relu"),
    ]
