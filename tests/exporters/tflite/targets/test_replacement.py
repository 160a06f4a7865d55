"""A weight whose form fails the proof takes the next better one, as few as suffice."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.targets import replacement, size


def of_sizes(*sizes):
    """A layer whose columns have these sizes, behind one whose columns are alike."""
    keras.utils.set_random_seed(0)
    image = keras.Input((40,))
    x = layers.Dense(64, activation="relu", name="body")(image)
    model = keras.Model(image, layers.Dense(len(sizes), name="head")(x))
    kernel = model.get_layer("head").kernel
    rng = np.random.default_rng(0)
    kernel.assign(rng.uniform(-1, 1, kernel.shape) * sizes * (rng.random(kernel.shape) < 0.5))
    return model, rng.standard_normal((40, 40)).astype(np.float32)


def test_columns_of_other_sizes_get_scales_of_their_own(tmp_path):
    """One scale is nearly as good for the weights together, and loses the small column."""
    model, samples = of_sizes(1, 1, 1, 1, 0.005)
    report = tflite.export(model, tmp_path / "x.tflite", precision="int8", samples=samples)
    assert report.proof.channel_error < 0.2
    assert "int8 with a scale for each channel" in report.reasons["head/kernel"]
    assert "scale for each channel" not in report.reasons["body/kernel"]
    [note] = [note for note in report.notes if "some weights take a better form" in note]
    assert "In int8 alone the file failed its proof" in note
    assert "'head' loses 1 of 5 channels (4)" in note
    found = {each.name: each.dtype for each in report.inspection.weights}
    assert found == {"body/kernel": "int8", "head/kernel": "int8"}


@pytest.mark.parametrize("target", ["size", "latency"])
def test_what_no_scale_serves_takes_float16(target, tmp_path):
    """One weight of a column is so large that the others round to zero."""
    model, samples = of_sizes(1, 1, 1)
    samples[:, 0] = 0
    body, head = model.get_layer("body").kernel, model.get_layer("head").kernel
    body.assign(np.concatenate([np.full((1, 64), 3000.0), body.numpy()[1:]]))
    report = tflite.export(
        model, tmp_path / "x.tflite", target=target, precision="int8", samples=samples
    )
    found = {each.name: each.dtype for each in report.inspection.weights}
    assert found["body/kernel"] in ("float16", "float32")
    assert np.count_nonzero(head.numpy())


def test_what_float16_loses_stays_float32(tmp_path):
    """A bias of 1013 is rounded to 1013 in float16, and the kernel beside it is small."""
    model = keras.Sequential([keras.Input((20,)), layers.Dense(1, name="pressure")])
    rng = np.random.default_rng(0)
    model.layers[0].kernel.assign(0.01 * rng.standard_normal((20, 1)))
    model.layers[0].bias.assign([1013.2])
    samples = rng.standard_normal((60, 20))
    report = tflite.export(model, tmp_path / "x.tflite", precision="float16", samples=samples)
    assert report.proof.channel_error < 0.01


def only(passing):
    """A proof that files pass for which `passing` holds of `better`."""
    tried = []

    def build(source, precision, better):
        tried.append(dict(better))
        return dataclasses.replace(size.build(source, precision, better), precision=str(better))

    def prove(built):
        if not passing(tried[-1]):
            raise tflite.ExportError(f"no {len(tried)}")
        return len(tried)

    return build, prove, tried


@pytest.fixture(scope="module")
def source():
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(30, name=f"fc{number}") for number in range(6)]
    return prepare(keras.Sequential([keras.Input((30,)), *stack]))


def test_as_few_weights_as_suffice_are_replaced(source):
    worst = replacement._worst_first(source, "int8")
    needed = set(worst[:2])
    build, prove, tried = only(lambda better: needed <= set(better))
    built, _ = replacement.proven(build, source, "int8", prove)
    assert "int8 with a scale for each channel" in built.reasons[worst[0]]
    assert {name for name, why in built.reasons.items() if "failed its proof" in why} == needed
    assert len(tried) <= 6


def test_the_next_form_is_tried_where_one_does_not_serve(source):
    build, prove, _ = only(lambda better: "float16" in better.values())
    built, _ = replacement.proven(build, source, "int8", prove)
    assert "float16 for" in built.notes[0]
    assert "a scale for each channel for" in built.notes[0]


def test_where_nothing_serves_the_first_failure_is_told(source):
    build, prove, tried = only(lambda better: False)
    with pytest.raises(tflite.ExportError, match=r"^no 1$"):
        replacement.proven(build, source, "int8", prove)
    assert len(tried) == 4
    build, prove, tried = only(lambda better: False)
    with pytest.raises(tflite.ExportError):
        replacement.proven(build, source, "float32", prove)
    assert len(tried) == 1
