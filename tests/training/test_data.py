import numpy as np
import pytest

from keras_lottery.training import data


def test_every_epoch_visits_every_sample_once_in_an_order_of_its_own():
    samples = data.Samples(np.zeros(50), batch_size=8, seed=3)
    assert sorted(samples.order(0)) == list(range(50))
    assert samples.order(0).tolist() != samples.order(1).tolist()
    assert samples.order(1).tolist() == data.Samples(np.zeros(50), 16, seed=3).order(1).tolist()
    assert samples.order(1).tolist() != data.Samples(np.zeros(50), 8, seed=4).order(1).tolist()


def test_without_a_seed_samples_stay_as_they_lie():
    assert data.Samples(np.zeros(4), batch_size=2).order(7).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 2, [(10, 0, 2)]),
        (1, 3, [(10, 10, 1), (5, 20, 1)]),
        (2, 3, [(5, 20, 1)]),
        (0, 3, [(10, 0, 2), (5, 20, 1)]),
    ],
)
def test_the_smaller_last_batch_is_a_stretch_of_its_own(first, last, expected):
    assert list(data.Samples(np.zeros(25), batch_size=10).stretches(first, last)) == expected


def test_fewer_samples_than_a_batch_are_one_step():
    samples = data.Samples(np.zeros(3), batch_size=10)
    assert samples.steps == 1
    assert list(samples.stretches(0, 1)) == [(3, 0, 1)]


def test_pack_copies_nothing():
    x, y = np.zeros((2, 3)), np.array([0, 1], "uint8")
    packed = data.pack([x, y], {"a": y})
    assert packed[0][0] is x and packed[0][1] is y and packed[1]["a"] is y


def test_one_weight_per_sample_serves_every_output():
    x, weight = np.zeros((2, 1), "float32"), np.ones(2, "float32")
    packed = data.pack(x, [x, x], weight)
    assert packed[2][0] is weight and packed[2][1] is weight


@pytest.mark.parametrize("y", [[0, 2, 1], [[0], [2], [1]], np.eye(3)[[0, 2, 1]]])
def test_class_weights_by_integer_column_or_one_hot(y):
    assert data.class_weights_of(np.array(y), {2: 5.0}).tolist() == [1.0, 5.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.zeros(4)}, r"equally many samples: received \[3, 4\]"),
        ({"y": np.zeros(3), "sample_weight": np.ones(3), "class_weight": {0: 1}}, "both"),
        ({"y": [np.zeros(3)] * 2, "class_weight": {0: 1}}, "one array `y`"),
    ],
)
def test_pack_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.pack(np.zeros((3, 1)), **arguments)


def test_only_dense_numbers_are_arrays():
    assert data.are_arrays({"a": np.zeros(2)}) and data.are_arrays(None)
    assert not data.are_arrays({"a": np.zeros(2), "b": None})
    assert not data.are_arrays([0.0, 1.0])
    assert not data.are_arrays((np.zeros(2), np.array(["a", "b"])))
