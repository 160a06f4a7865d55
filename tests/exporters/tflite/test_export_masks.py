"""The masks on a model, and weights of any name, are part of what an export proves."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_lottery as kl
from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.rewriting import forms


class Linear(layers.Layer):
    """A layer whose weights are called neither kernel nor embeddings."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 40), name="w")

    def call(self, x):
        return keras.ops.matmul(x, self.w)


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((40,)), layers.Dense(40, name="fc1"), layers.Dense(3)])


@pytest.fixture
def custom():
    return keras.Sequential([keras.Input((30,)), Linear(name="linear")])


def test_masks_that_are_violated_are_refused(model, tmp_path):
    dense = model.get_weights()
    kl.Lottery(model).prune(0.9)
    model.set_weights(dense)
    with pytest.raises(tflite.ExportError, match=r"'fc1/kernel': \d+ of 1440 pruned weights"):
        tflite.export(model, tmp_path / "x.tflite")
    assert not list(tmp_path.iterdir())


def test_masks_that_hold_stay_attached(model, tmp_path):
    lottery = kl.Lottery(model)
    lottery.prune(0.9)
    report = tflite.export(model, tmp_path / "x.tflite")
    assert report.inspection.sparsity == pytest.approx(0.9, abs=0.001)
    assert not any("held" in note for note in report.notes)
    assert kl.Lottery.on(model) is lottery


def test_pruned_weights_that_are_not_zero_are_noted(model, tmp_path):
    kl.Lottery(model, kl.Recipe(include="fc1", hold_at="freeze")).prune(0.5)
    report = tflite.export(model, tmp_path / "x.tflite")
    match = "800 pruned weights are held at values that are not zero, and stored at them."
    assert match in report.notes


def test_a_kernel_that_is_used_in_pieces_is_compared_piece_by_piece(tmp_path):
    gru = layers.GRU(8, reset_after=False, name="gru")
    model = keras.Sequential([keras.Input((4, 12)), gru])
    kl.Lottery(model).prune(0.8)
    report = tflite.export(model, tmp_path / "x.tflite")
    shapes = {w.name: w.shape for w in report.inspection.weights}
    assert shapes["gru/gru_cell/recurrent_kernel[0]"] == (16, 8)
    assert shapes["gru/gru_cell/recurrent_kernel[1]"] == (8, 8)


def test_of_two_kernels_that_are_equal_the_file_has_one(tmp_path):
    image, first, second = keras.Input((40,)), layers.Dense(40), layers.Dense(40)
    model = keras.Model(image, second(layers.ReLU()(first(image))))
    second.set_weights(first.get_weights())
    kl.Lottery(model).prune(0.9)
    report = tflite.export(model, tmp_path / "x.tflite")
    assert len(report.inspection.weights) == 1


def test_weights_of_any_name_are_proven(custom, tmp_path, monkeypatch):
    kl.Lottery(custom, kl.Recipe(include=lambda name, shape: True)).prune(0.9)
    report = tflite.export(custom, tmp_path / "x.tflite")
    [weight] = report.inspection.weights
    assert (weight.name, weight.sparsity) == ("linear/w", 0.9)
    choices = forms.possible

    def revived(values, *rest):
        values = values.copy()
        values.reshape(-1)[np.argmin(np.abs(values))] = 1e-12
        return choices(values, *rest)

    monkeypatch.setattr(forms, "possible", revived)
    with pytest.raises(tflite.ExportError, match="'linear/w' has 1 pruned weights"):
        tflite.export(custom, tmp_path / "y.tflite")


def test_a_model_without_kernels_is_exported(custom, tmp_path):
    note = "The model has no pruned weight; every weight is stored densely."
    assert note in tflite.export(custom, tmp_path / "x.tflite").notes
    scales = keras.Sequential([keras.Input((8,)), layers.LayerNormalization()])
    assert note in tflite.export(scales, tmp_path / "y.tflite").notes
