"""Backbones of KerasHub are proven, or the layer that cannot be expressed is named.

`make test-hub` runs this in an environment of its own.
"""

import keras
import numpy as np
import pytest

import keras_lottery as kl
from keras_lottery.exporters import tflite

hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed: make test-hub")
pytestmark = pytest.mark.long

TOKENS, LENGTH = 100, 16


def images():
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    return backbone, np.random.default_rng(0).random((32, 32, 32, 3), "float32")


def texts():
    """Every token and both segments are among the samples: integers need every row of a table."""
    backbone = hub.models.BertBackbone(
        vocabulary_size=TOKENS,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=LENGTH,
    )
    shape = (32, LENGTH)
    return backbone, {
        "token_ids": np.random.default_rng(0).integers(TOKENS, size=shape, dtype="int32"),
        "segment_ids": np.random.default_rng(1).integers(2, size=shape, dtype="int32"),
        "padding_mask": np.ones(shape, "int32"),
    }


@pytest.mark.parametrize("make", [images, texts])
@pytest.mark.parametrize("target", ["size", "latency", "int8", "micro"])
def test_a_backbone_is_proven_or_its_layer_is_named(tmp_path, make, target):
    keras.utils.set_random_seed(0)
    model, samples = make()
    kl.Lottery(model).prune(0.9)
    model = kl.strip(model)
    try:
        report = tflite.export(model, tmp_path / "x.tflite", target=target, samples=samples)
    except tflite.ExportError as error:
        print(target, error)
        assert target in ("int8", "micro") and "layer" in str(error)
    else:
        print(target, report.inspection.file_bytes, report.proof.errors)
        assert max(report.proof.errors.values()) < 0.25
