"""MobileNet-V1 of a quarter of the width, in the form that XNNPACK can run sparsely.

XNNPACK computes with sparse 1x1 convolutions where the network opens with a 3x3 convolution of
stride 2, every convolution of stride 2 is padded by one pixel on all sides (TensorFlow's "same" is
not, there), and the network ends in global average pooling. More than two thirds of the 1x1 weights
must be zero; they alone are pruned.
"""

import keras
from keras import layers

from experiments.networks import Optimizer, Preset, glorot

# Ours: no paper prunes this network at this size.
PRESET = Preset(
    optimizer=Optimizer("adam", 2e-3, cosine=True),
    batch_size=64,
    iterations=20_000,
    rate=0.2,
    scope="globally",
    exclude="^(stem|depthwise[0-9]+|output)/",
)

WIDTH = 0.25
STEM_CHANNELS = 32

# (channels at full width, stride) of each separable convolution: Howard et al. 2017, table 1.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def build(
    shape: tuple[int, int, int], classes: int, seed: int = 0, width: float = WIDTH
) -> keras.Model:
    """The network; 196,224 weights in its 1x1 convolutions, at a quarter of the width.

    Args:
        shape: Height, width and channels of an image; XNNPACK wants 3 channels.
        classes: The number of logits.
        seed: Seed of the initial weights.
        width: Multiplies the channels of every layer: the paper's alpha.
    """
    blocks = []
    for block, (channels, stride) in enumerate(BLOCKS, start=1):
        blocks += _depthwise(stride, f"depthwise{block}", seed)
        blocks += _pointwise(round(channels * width), f"pointwise{block}", seed)
    return keras.Sequential(
        [
            keras.Input(shape),
            *_stem(round(STEM_CHANNELS * width), "stem", seed),
            *blocks,
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(classes, name="output", kernel_initializer=glorot(seed, "output")),
        ],
        name="mobilenet_v1",
    )


def _stem(channels: int, name: str, seed: int) -> list[keras.Layer]:
    kernel = glorot(seed, name)
    return [
        layers.ZeroPadding2D(1, name=f"{name}_pad"),
        layers.Conv2D(channels, 3, 2, use_bias=False, name=name, kernel_initializer=kernel),
        *_normalized(name),
    ]


def _depthwise(stride: int, name: str, seed: int) -> list[keras.Layer]:
    kernel = glorot(seed, name)
    pad = [layers.ZeroPadding2D(1, name=f"{name}_pad")] if stride == 2 else []
    return [
        *pad,
        layers.DepthwiseConv2D(
            3,
            stride,
            padding="valid" if pad else "same",
            use_bias=False,
            name=name,
            depthwise_initializer=kernel,
        ),
        *_normalized(name),
    ]


def _pointwise(channels: int, name: str, seed: int) -> list[keras.Layer]:
    kernel = glorot(seed, name)
    return [
        layers.Conv2D(channels, 1, use_bias=False, name=name, kernel_initializer=kernel),
        *_normalized(name),
    ]


def _normalized(name: str) -> list[keras.Layer]:
    return [layers.BatchNormalization(name=f"{name}_norm"), layers.ReLU(name=f"{name}_relu")]
