"""ResNet-20 for CIFAR-10, which Frankle & Carbin 2019, section 4, call ResNet-18."""

import keras
from keras import layers

from experiments.networks import Optimizer, Preset, glorot

# The paper finds tickets at a learning rate of 0.03 only after a warm-up of 20,000 iterations.
PRESET = Preset(
    optimizer=Optimizer("momentum", 0.03, warm_up=2 / 3, drops=(5 / 6,)),
    batch_size=128,
    iterations=30_000,
    rate=0.2,
    scope="globally",
    exclude="^output/",
)

WIDTHS = (16, 32, 64)
BLOCKS_A_STAGE = 3


def build(shape: tuple[int, int, int], classes: int, seed: int = 0) -> keras.Model:
    """The network; 270,256 convolution weights for CIFAR-10."""
    images = keras.Input(shape)
    x = _convolution(images, WIDTHS[0], 3, 1, "stem", seed)
    x = layers.ReLU(name="stem_relu")(x)
    for stage, width in enumerate(WIDTHS, start=1):
        for block in range(1, BLOCKS_A_STAGE + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(x, width, stride, f"stage{stage}_block{block}", seed)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(classes, name="output", kernel_initializer=glorot(seed, "output"))(x)
    return keras.Model(images, logits, name="resnet20")


def _block(x, width: int, stride: int, name: str, seed: int):
    shortcut = x
    if stride != 1:
        shortcut = _convolution(x, width, 1, stride, f"{name}_shortcut", seed)
    x = _convolution(x, width, 3, stride, f"{name}_conv1", seed)
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = _convolution(x, width, 3, 1, f"{name}_conv2", seed)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _convolution(x, width: int, size: int, stride: int, name: str, seed: int):
    """A convolution without bias, normalised."""
    kernel = glorot(seed, name)
    x = layers.Conv2D(
        width, size, stride, "same", use_bias=False, name=name, kernel_initializer=kernel
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)
