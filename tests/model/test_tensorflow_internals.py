"""Private names of tf.data, each with a test that fails first and says which one has moved."""

import pytest

from keras_lottery.model import tensorflow_internals

tf = pytest.importorskip("tensorflow")


def has(owner, name):
    """Say which name is gone, before anything else fails of it."""
    assert hasattr(owner, name), f"TensorFlow has moved {type(owner).__name__}.{name}"


def numbers():
    return tf.data.Dataset.range(10)


def test_the_stages_of_a_data_set_and_what_they_do():
    has(numbers(), "_inputs")
    dataset = tf.data.Dataset.zip(numbers(), numbers().map(lambda x: x + 1)).shuffle(3).batch(2)
    kinds = [tensorflow_internals.kind_of(stage) for stage in tensorflow_internals.stages(dataset)]
    assert [kind.removeprefix("Parallel") for kind in kinds] == [
        "Batch",
        "Shuffle",
        "Zip",
        "Range",
        "Map",
        "Range",
    ]


def test_the_operations_that_a_stage_runs():
    dataset = numbers().map(lambda x: x + tf.random.uniform((), maxval=3, dtype=tf.int64))
    has(dataset, "_functions")
    kinds = {operation.type for operation in tensorflow_internals.operations_of(dataset)}
    assert "RandomUniformInt" in kinds
    assert list(tensorflow_internals.operations_of(numbers())) == []


@pytest.mark.parametrize("drop", [True, False])
def test_batches_that_leave_out_a_last_one(drop):
    dataset = numbers().batch(3, drop_remainder=drop)
    has(dataset, "_drop_remainder")
    assert tensorflow_internals.drops_remainder(dataset) == drop
    assert not tensorflow_internals.drops_remainder(numbers())


@pytest.mark.parametrize(("again", "expected"), [(None, True), (True, True), (False, False)])
def test_a_shuffle_of_each_reading(again, expected):
    dataset = numbers().shuffle(10, reshuffle_each_iteration=again)
    has(dataset, "_reshuffle_each_iteration")
    assert tensorflow_internals.reshuffles(dataset) == expected
    assert not tensorflow_internals.reshuffles(numbers())
