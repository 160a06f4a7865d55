"""Dead units are removed before the export, and the file answers as the model with them."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_lottery as kl
from keras_lottery.exporters import tflite
from keras_lottery.masks import shrink as shrinking


@pytest.fixture
def model():
    """Six of ten units are pruned; their constants are not zero."""
    model = keras.Sequential(
        [
            keras.Input((8,), name="given"),
            layers.Dense(10, "sigmoid", name="fc1"),
            layers.Dense(3, name="scores"),
        ]
    )
    units = kl.Recipe(granularity=kl.granularity.units(), exclude="scores")
    kl.Lottery(model, units).prune(0.6)
    return model


@pytest.mark.parametrize("target", ["size", "latency", "int8"])
def test_a_smaller_file_with_the_same_answers(model, target, tmp_path):
    samples = np.random.default_rng(0).normal(size=(20, 8)).astype("float32")
    report = tflite.export(
        model, tmp_path / "a.tflite", target=target, samples=samples, shrink=True
    )
    assert report.shrunk == kl.shrink_report(model)
    assert report.shrunk.units == {"fc1": (10, 4), "scores": (3, 3)}
    assert report.shrunk.weights == (10 * 9 + 3 * 11, 4 * 9 + 3 * 5)
    whole = tflite.export(model, tmp_path / "b.tflite", target=target, samples=samples)
    assert whole.shrunk is None
    assert report.dense_size.raw < whole.dense_size.raw
    shapes = {found.name: found.shape for found in report.inspection.weights}
    assert shapes["fc1/kernel"] == (4, 8)
    assert kl.Lottery.on(model) is not None and model.get_layer("fc1").units == 10


def test_the_report_says_what_went(model, tmp_path):
    report = tflite.export(model, tmp_path / "a.tflite", shrink=True)
    lines = [line.split() for line in str(report).splitlines()]
    assert ["units", "of", "fc1", "10", "4"] in lines
    assert ["multiplications", "110", "44"] in lines
    assert "## Dead units removed before" in report.to_markdown()
    assert json.loads(report.to_json())["shrunk"]["units"] == {"fc1": [10, 4], "scores": [3, 3]}
    whole = tflite.export(model, tmp_path / "b.tflite")
    assert "Dead units" not in str(whole)


def test_masks_that_do_not_hold(model, tmp_path):
    model.get_layer("fc1").kernel.assign(np.ones((8, 10)))
    with pytest.raises(tflite.ExportError, match="pruned weights"):
        tflite.export(model, tmp_path / "a.tflite", shrink=True)
    assert not list(tmp_path.iterdir())


def test_the_whole_model_is_the_judge(model, tmp_path, monkeypatch):
    """A shrunk model that answers otherwise fails the proof."""

    def wrong(whole):
        small = kl.shrink(whole)
        small.get_layer("scores").bias.assign([9, 9, 9])
        return small

    monkeypatch.setattr(shrinking, "shrink", wrong)
    with pytest.raises(tflite.ExportError, match="scores"):
        tflite.export(model, tmp_path / "a.tflite", shrink=True)
    assert not list(tmp_path.iterdir())
