"""Exact counts, ties by index, against a plain stable sort."""

import tracemalloc

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lottery.core import selection
from keras_lottery.core.selection import (
    counts_of_rate,
    counts_to_reach,
    drop_lowest,
    drop_lowest_together,
)

FEW = [-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 1.0, 1.5, np.inf]  # many ties, both zeros


def by_sorting(scores, masks, count):
    """What is asked for, in the fewest words: sort the live stably and clear the first."""
    masks = {name: mask.copy() for name, mask in masks.items()}
    alive = [(name, index) for name in masks for index in np.flatnonzero(masks[name])]
    alive.sort(key=lambda place: scores[place[0]].flat[place[1]])
    for name, index in alive[:count]:
        masks[name].flat[index] = False
    return masks


@st.composite
def events(draw):
    """Scores of one to three kernels, their masks, and a possible count."""
    scores, masks = {}, {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
        values = st.sampled_from(FEW) | st.floats(-9, 9, width=16)
        shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
        scores[name] = draw(hnp.arrays(np.float64, shape, elements=values)).astype(dtype)
        masks[name] = draw(hnp.arrays(bool, shape))
    return scores, masks, draw(st.integers(0, sum(int(mask.sum()) for mask in masks.values())))


@given(event=events(), piece=st.sampled_from([1, 3, 1 << 18]))
def test_the_same_as_a_stable_sort(event, piece):
    scores, masks, count = event
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_PIECE", piece)
        result = drop_lowest_together(scores, masks, count)
    expected = by_sorting(scores, masks, count)
    assert list(result) == list(masks)
    for name in masks:
        np.testing.assert_array_equal(result[name], expected[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_close_scores_are_told_apart(dtype):
    ascending = np.ones(1000, dtype)
    for index in range(1, ascending.size):
        ascending[index] = np.nextafter(ascending[index - 1], dtype(2))
    scores = np.random.default_rng(0).permutation(np.concatenate([-ascending, ascending]))
    left = drop_lowest(scores, np.ones(2000, bool), 1500)
    np.testing.assert_array_equal(np.sort(scores[left]), ascending[500:])


def test_ties_fall_by_index_lowest_first():
    left = drop_lowest(np.zeros((2, 3)), np.ones((2, 3), bool), 4)
    np.testing.assert_array_equal(left, [[False, False, False], [False, True, True]])


def test_ties_fall_in_the_order_of_the_kernels():
    alive = {"z": np.ones(2, bool), "a": np.ones(2, bool)}
    left = drop_lowest_together({"z": np.zeros(2), "a": np.zeros(2)}, alive, 3)
    np.testing.assert_array_equal(left["z"], [False, False])
    np.testing.assert_array_equal(left["a"], [False, True])


def test_ties_go_on_from_one_piece_to_the_next(monkeypatch):
    monkeypatch.setattr(selection, "_PIECE", 4)
    left = drop_lowest(np.zeros(10), np.ones(10, bool), 6)
    assert np.flatnonzero(left).tolist() == [6, 7, 8, 9]


def test_the_scores_of_the_dead_mean_nothing():
    scores = np.array([np.nan, 1.0, -np.inf, 2.0], np.float32)
    left = drop_lowest(scores, np.array([False, True, False, True]), 1)
    assert np.flatnonzero(left).tolist() == [3]


def test_arrays_in_any_memory_layout():
    scores = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    mask = np.asfortranarray(np.ones((3, 4), bool))
    left = drop_lowest(scores, mask, 5)
    np.testing.assert_array_equal(left, scores >= 5)
    assert mask.all()


@pytest.mark.parametrize("count", [-1, 3])
def test_an_impossible_count_is_refused(count):
    with pytest.raises(ValueError, match=f"`count` is {count}; it must be from 0 to 2"):
        drop_lowest(np.zeros(3), np.array([True, False, True]), count)


@given(
    size=st.integers(1, 300),
    dead=st.integers(0, 300),
    percent=st.integers(0, 100),
)
def test_counts_to_reach_gives_the_rounded_sparsity(size, dead, percent):
    mask = np.arange(size) >= dead
    count = counts_to_reach({"a": mask}, percent / 100)["a"]
    assert abs(np.count_nonzero(~mask) + count - size * percent / 100) <= 0.5 + 1e-9


def test_halves_are_rounded_away_from_zero():
    masks = {"five": np.ones(5, bool), "three": np.ones(3, bool), "one": np.ones(1, bool)}
    assert counts_to_reach(masks, 0.5) == {"five": 3, "three": 2, "one": 1}
    assert counts_of_rate(masks, 0.5) == {"five": 3, "three": 2, "one": 1}
    assert counts_of_rate(masks, 0.49999999999999994) == {"five": 2, "three": 1, "one": 0}


def test_beyond_the_target_the_count_is_negative():
    mask = np.array([True, False, False, False])
    assert counts_to_reach({"a": mask}, 0.5) == {"a": -1}


def test_one_fraction_for_each_kernel():
    masks = {"fc1": np.ones(10, bool), "output": np.ones(10, bool)}
    by_name = {"output": 0.1, "fc1": 0.2}
    assert counts_to_reach(masks, by_name) == {"fc1": 2, "output": 1}
    assert list(counts_of_rate(masks, by_name)) == ["fc1", "output"]


@pytest.mark.parametrize("count", [counts_to_reach, counts_of_rate])
@pytest.mark.parametrize("wrong", [-0.1, 1.1, 20, float("nan")])
def test_a_percentage_is_refused(count, wrong):
    argument = {counts_to_reach: "sparsity", counts_of_rate: "rate"}[count]
    with pytest.raises(ValueError, match=rf"`{argument}` is {wrong} for 'fc1'; .*\[0, 1\]"):
        count({"fc1": np.ones(2, bool)}, wrong)


@pytest.mark.parametrize("count", [counts_to_reach, counts_of_rate])
@pytest.mark.parametrize("names", [{"fc1": 0.1}, {"fc1": 0.1, "fc2": 0.1, "fc3": 0.1}])
def test_a_kernel_too_few_or_too_many_is_refused(count, names):
    with pytest.raises(ValueError, match=r"it must name every kernel: \['fc1', 'fc2'\]"):
        count({"fc1": np.ones(2, bool), "fc2": np.ones(2, bool)}, names)


def test_the_counts_of_lenet_300_100():
    """Frankle & Carbin's rates: 20 % a round, 10 % of the output layer."""
    rates = {"fc1": 0.2, "fc2": 0.2, "output": 0.1}
    shapes = {"fc1": (784, 300), "fc2": (300, 100), "output": (100, 10)}
    rng = np.random.default_rng(0)
    scores = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    masks = {name: np.ones(shape, bool) for name, shape in shapes.items()}
    kept = []
    for _ in range(15):
        counts = counts_of_rate(masks, rates)
        masks = {name: drop_lowest(scores[name], masks[name], counts[name]) for name in masks}
        kept.append([int(mask.sum()) for mask in masks.values()])
    assert kept[6] == [49325, 6291, 478]
    assert kept[14] == [8275, 1056, 206]


def test_memory_does_not_grow_with_the_kernel():
    """Four million scores are ranked beside their new mask with next to nothing more."""
    scores = np.random.default_rng(0).standard_normal(4_000_000, np.float32)
    mask = np.ones(scores.shape, bool)
    drop_lowest(scores[:10], mask[:10], 5)
    tracemalloc.start()
    drop_lowest(scores, mask, 3_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < mask.nbytes + 9_000_000  # of 16 million bytes of scores
