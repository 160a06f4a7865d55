import re

import keras
import numpy as np
import pytest
import tiny

from keras_lottery.training import dataset, fit

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="on torch, fit is model.fit"
)
LIMIT = 10_000


def of(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


def shuffled(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(50)


def test_a_dataset_is_kept_as_arrays_in_its_order():
    x, y = tiny.samples()
    samples, reason = dataset.cache(of(x, y).map(lambda x, y: ({"a": x}, y)), None, 0, LIMIT)
    assert reason is None
    np.testing.assert_array_equal(samples.arrays[0]["a"], x)
    np.testing.assert_array_equal(samples.arrays[1], y)
    assert samples.batch_size == 8 and samples.seed is None


def test_a_dataset_that_shuffles_is_shuffled_from_the_seed():
    x, y = tiny.samples()
    samples, _ = dataset.cache(shuffled(x, y).batch(8).prefetch(1), None, 11, LIMIT)
    assert samples.seed == 11
    np.testing.assert_array_equal(np.sort(samples.arrays[0], axis=0), np.sort(x, axis=0))


def test_a_dataset_of_unknown_length_is_kept():
    x, y = tiny.samples()
    uncounted = of(x, y).filter(lambda x, y: True)
    assert uncounted.cardinality() < 0
    samples, _ = dataset.cache(uncounted, None, 0, LIMIT)
    np.testing.assert_array_equal(samples.arrays[0], x)
    np.testing.assert_array_equal(samples.arrays[1], y)


def test_what_is_taken_before_the_shuffle_is_always_the_same():
    samples, _ = dataset.cache(of(*tiny.samples()).take(2).shuffle(2), None, 11, LIMIT)
    assert samples.count == 16


def test_an_order_that_is_shuffled_once_stays():
    x, y = tiny.samples()
    once = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(50, reshuffle_each_iteration=False)
    some = once.take(20).batch(8)
    samples, _ = dataset.cache(some, None, 11, LIMIT)
    assert samples.seed is None
    np.testing.assert_array_equal(samples.arrays[0], np.concatenate([batch[0] for batch in some]))


def test_class_weights_become_sample_weights():
    x, y = tiny.samples()
    samples, _ = dataset.cache(of(x, y), {1: 4.0}, 0, LIMIT)
    np.testing.assert_array_equal(samples.arrays[2], np.where(y == 1, 4, 1))


def noisy(x, y):
    return x + tf.random.normal(tf.shape(x)), y


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.repeat(), "is endless"),
        (lambda d: d.map(noisy), "runs RandomStandardNormal anew at each pass"),
        (lambda d: d.unbatch().batch(5).concatenate(d), r"has batches of \[2, 5, 8\] samples"),
        (
            lambda d: d.take(3).concatenate(d.take(1).map(lambda x, y: (x[:, :5], y))),
            r"has samples of shapes \[\(5,\), \(\)\] and \[\(6,\), \(\)\]",
        ),
        (lambda d: d.take(0), r"has batches of \[\] samples"),
        (lambda d: d.repeat(9), "exceeds memory_limit=10,000 bytes"),
        (lambda d: d.repeat(10**12), "exceeds memory_limit=10,000 bytes"),
        (lambda d: d.map(lambda x, y: (tf.sparse.from_dense(x), y)), "are not dense tensors"),
        (lambda d: d.map(lambda x, y: tf.strings.as_string(x)), "are not arrays"),
    ],
)
def test_what_cannot_be_kept_and_why(change, reason):
    samples, why_not = dataset.cache(change(of(*tiny.samples())), None, 0, LIMIT)
    assert samples is None
    assert re.search(reason, why_not)


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        (lambda d: d.batch(8).take(5), "Take"),
        (lambda d: d.batch(8, drop_remainder=True), "Batch"),
        (lambda d: d.batch(8, drop_remainder=True, num_parallel_calls=2), "ParallelBatch"),
        (lambda d: d.filter(lambda x, y: y > 0).batch(8), "Filter"),
    ],
)
def test_a_random_part_of_the_samples_is_not_kept_for_ever(change, stage):
    samples, why_not = dataset.cache(change(shuffled(*tiny.samples())), None, 0, LIMIT)
    assert samples is None
    assert why_not == f"the tf.data set shuffles, and {stage} may then drop other samples"


def test_fit_says_the_bytes_and_equals_model_fit(capsys):
    x, y = tiny.samples()
    y = y.astype("int32")
    model, other = tiny.dense(), tiny.dense()
    history = fit(model, of(x, y), epochs=2, verbose=2)
    assert history.params["fused"] != "plain"
    assert "The tf.data set is cached as arrays: 1,400 bytes." in capsys.readouterr().out
    plain = other.fit(of(x, y), epochs=2, shuffle=False, verbose=0)
    tiny.assert_same(model, history, other, plain, 1e-6)


def test_what_is_not_kept_is_trained_by_model_fit():
    history = fit(tiny.dense(), of(*tiny.samples()).map(noisy), verbose=0)
    assert history.params["fused"] == "plain"


def test_targets_belong_in_the_dataset():
    x, y = tiny.samples()
    with pytest.raises(ValueError, match=r"part of the tf\.data\.Dataset"):
        fit(tiny.dense(), of(x, y), y, verbose=0)
