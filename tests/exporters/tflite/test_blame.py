"""Which layer loses most in full integers is named, and by how much."""

import re

import keras
import numpy as np
import pytest

from keras_lottery.exporters import tflite

X = np.random.default_rng(1).normal(size=(64, 8)).astype("float32")


def network(loudness):
    """The channels of `wide` share a scale: beside a loud one the others are nothing."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,), name="x")
    hidden = keras.layers.Dense(4, "relu", name="fine")(inputs)
    wide = keras.layers.Dense(8, name="wide")
    outputs = keras.layers.Dense(1, name="small")(wide(hidden))
    model = keras.Model(inputs, outputs)
    kernel = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    kernel[:, 0] *= loudness
    wide.kernel.assign(kernel)
    model.get_layer("small").kernel.assign([[0.0], *[[1.0]] * 7])
    return model


@pytest.mark.parametrize("target", ["int8", "micro"])
def test_the_layer_is_named(tmp_path, target):
    with pytest.raises(tflite.ExportError) as error:
        tflite.export(network(1e4), tmp_path / "x.tflite", target=target, samples=X)
    message = str(error.value)
    assert "Most of it is lost in the layer 'wide': the channels of its output" in message
    # Seven of eight channels are lost in whole or in part, on four examples; none was before.
    lost, before = map(int, re.findall(r"off by (\d+)%.* by (\d+)%", message)[0])
    assert 60 <= lost <= 88 and before <= 2
    assert "target='size' computes in float32" in message
    assert not list(tmp_path.iterdir())


def test_nothing_is_lost_where_channels_are_alike(tmp_path):
    report = tflite.export(network(1), tmp_path / "x.tflite", target="int8", samples=X)
    assert max(report.proof.errors.values()) < 0.1


def test_argmax_names_itself(tmp_path):
    inputs = keras.Input((8,))
    scores = keras.layers.Dense(5, name="scores")(inputs)
    model = keras.Model(inputs, keras.ops.argmax(scores, axis=-1))
    with pytest.raises(tflite.ExportError, match=r"cannot express .*needed by keras.ops.argmax"):
        tflite.export(model, tmp_path / "x.tflite")
