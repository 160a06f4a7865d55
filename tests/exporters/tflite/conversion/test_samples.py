"""Samples stand for all that were given: batches are gathered, and a few are spread over all."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.conversion import batches, examples
from keras_lottery.exporters.tflite.conversion.source import prepare


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), layers.Dense(40), layers.Dense(3, name="y")])


X = np.random.default_rng(0).random((50, 6)).astype(np.float32)


def as_dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, np.zeros(50))).batch(8)


class Batches(keras.utils.PyDataset):
    """Five batches of ten, with targets."""

    def __len__(self):
        return 5

    def __getitem__(self, number):
        return X[10 * number : 10 * number + 10], np.zeros(10)


@pytest.mark.parametrize(
    "samples",
    [
        lambda: X,
        as_dataset,
        Batches,
        lambda: (X[start : start + 7] for start in range(0, 50, 7)),
        lambda: iter([(X[:20], np.zeros(20), np.ones(20)), (X[20:], np.zeros(30), np.ones(30))]),
    ],
    ids=["array", "tf.data", "PyDataset", "generator", "with weights"],
)
def test_batches_are_gathered(samples, model, tmp_path):
    np.testing.assert_array_equal(batches.gathered(samples()), X)
    report = tflite.export(model, tmp_path / "x.tflite", samples=samples(), compare=9)
    assert (report.proof.given, report.proof.compared) == (50, 9)
    assert "Of 50 samples 9 are compared, spread evenly over all." in report.notes


def test_batches_of_several_inputs_are_gathered_by_name():
    parts = ({"a": X[i : i + 5], "b": X[i : i + 5, :2]} for i in range(0, 50, 5))
    found = batches.gathered(parts)
    assert {name: array.shape for name, array in found.items()} == {"a": (50, 6), "b": (50, 2)}


def test_batches_without_an_end_are_refused():
    import tensorflow as tf

    endless = tf.data.Dataset.from_tensor_slices(X).batch(8).repeat()
    with pytest.raises(ValueError, match=r"`samples` has no end, .* dataset\.take\(100\)"):
        batches.gathered(endless)
    with pytest.raises(ValueError, match="`samples` has no end"):
        batches.gathered(np.zeros((100_000, 1)) for _ in iter(int, 1))


def test_batches_that_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(batches, "_MOST_BYTES", 1000)
    with pytest.raises(
        ValueError, match=r"more than a memory holds: .* itertools\.islice\(generator, 100\)"
    ):
        batches.gathered(itertools.repeat(X))


def test_a_dataset_without_batches_names_the_cure(model, tmp_path):
    alone = as_dataset().unbatch()
    with pytest.raises(ValueError, match=r"Batch it first: dataset\.batch\(32\)\."):
        tflite.export(model, tmp_path / "m.tflite", samples=alone)


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ([X, X[:, :3]], "do not go together"),
        ([X, {"a": X}], "do not go together"),
        ([], "has no batch"),
    ],
)
def test_batches_that_differ_are_refused(parts, match):
    with pytest.raises(ValueError, match=match):
        batches.gathered(iter(parts))


def test_a_few_examples_are_spread_over_all():
    found = examples.spread({"x": np.arange(1000), "y": np.arange(1000) * 2}, 10)
    assert (found["x"] // 100).tolist() == list(range(10))
    assert (found["x"][0], found["x"][-1]) == (0, 999)
    np.testing.assert_array_equal(found["y"], 2 * found["x"])
    assert examples.spread(np.arange(5), 10).tolist() == [0, 1, 2, 3, 4]


def test_kinds_that_take_turns_are_all_there():
    """An example of every tenth place would be always of the same kind."""
    kinds = np.arange(1000) % 10
    assert set(examples.spread(kinds, 100).tolist()) == set(range(10))


@pytest.mark.parametrize("order", ["by label", "dark to bright", "bright to dark"])
def test_an_order_of_samples_changes_no_answer(order, tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1200)
    x = rng.normal(0, 0.1, (1200, 12)) + 3 * np.eye(12)[labels]
    x *= np.linspace(0.1, 1, 1200)[:, None]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((12,)), layers.Dense(30, "relu"), layers.Dense(4)])
    places = {
        "by label": np.argsort(labels, kind="stable"),
        "dark to bright": np.arange(1200),
        "bright to dark": np.arange(1200)[::-1],
    }[order]
    report = tflite.export(model, tmp_path / "x.tflite", target="int8", samples=x[places])
    assert (report.proof.calibrated, report.proof.compared) == (256, 64)
    assert max(report.proof.errors.values()) < 0.05
    from keras_lottery.exporters.tflite.runtimes import interpreter

    data = (tmp_path / "x.tflite").read_bytes()
    [got] = interpreter.invoke(data, [x.astype(np.float32)], "XNNPACK")
    wanted = np.asarray(model(x))
    assert np.abs(got - wanted).max() < 0.1 * np.abs(wanted).max()


def test_how_many_calibrate_can_be_chosen(model, tmp_path):
    report = tflite.export(
        model, tmp_path / "x.tflite", target="int8", samples=X, calibrate=20, compare=30
    )
    assert (report.proof.calibrated, report.proof.compared) == (20, 30)
    assert (
        "Of 50 samples 30 are compared, 20 calibrate integers, spread evenly over all."
        in report.notes
    )


def test_indices_calibrate_all():
    tokens = keras.Input((4,), dtype="int32")
    model = keras.Model(tokens, layers.Dense(3)(layers.Flatten()(layers.Embedding(9, 4)(tokens))))
    samples = np.random.default_rng(0).integers(0, 9, (700, 4))
    assert len(prepare(model, samples).calibrating()) == 700
    assert len(prepare(model, samples, calibrate=50).calibrating()) == 50


def test_without_samples_it_is_said_what_is_not_proven(tmp_path):
    image = keras.Input((12,))
    adapted = layers.Normalization(mean=[1013.0] * 12, variance=[25.0] * 12, name="adapted")
    x = layers.Dense(40, name="body")(adapted(image))
    model = keras.Model(image, layers.Dense(2, name="huge")(x))
    kernel = model.get_layer("body").kernel
    kernel.assign(kernel.numpy() * np.where(np.arange(40) == 0, 1, 1e-6))
    model.get_layer("huge").kernel.assign(np.full((40, 2), 1e6))
    report = tflite.export(model, tmp_path / "x.tflite", precision="float16")
    said = " ".join(report.notes)
    assert "96 of 96 made-up inputs are further than 6 standard deviations" in said
    assert "the layer 'adapted'" in said
    assert "values of the output 'huge' have an unusual size on made-up inputs" in said


def test_without_samples_weights_that_round_to_zero_are_counted(tmp_path):
    model = keras.Sequential([keras.Input((30,)), layers.Dense(20, name="fc")])
    kernel = np.random.default_rng(0).uniform(0.5, 1, (30, 20))
    kernel[3, :7] = 1e-4
    model.layers[0].kernel.assign(kernel)
    report = tflite.export(model, tmp_path / "x.tflite", precision="int8")
    assert any(
        note.startswith(
            "7 of 600 weights that are alive round to zero, most of them in 'fc/kernel'"
        )
        for note in report.notes
    )
