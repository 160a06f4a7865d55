"""Where the pruning falls: masks typed by hand, and the Erdos-Renyi shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lottery.core import scopes

SCORES = {
    "a": np.array([[0.0, 5.0], [1.0, 6.0]]),
    "b": np.array([[7.0, 2.0, 8.0, 3.0]]),
}
MASKS = {"a": np.array([[True, True], [True, True]]), "b": np.array([[True, True, True, False]])}


def left(scope, counts, masks=MASKS):
    return {name: mask.astype(int).tolist() for name, mask in scope(SCORES, masks, counts).items()}


def test_layerwise():
    assert left(scopes.layerwise, {"a": 1, "b": 2}) == {"a": [[0, 1], [1, 1]], "b": [[0, 0, 1, 0]]}


def test_layerwise_leaves_a_kernel_beyond_its_target_alone():
    assert left(scopes.layerwise, {"a": -2, "b": 1}) == {"a": [[1, 1], [1, 1]], "b": [[1, 0, 1, 0]]}


def test_globally():
    assert left(scopes.globally, {"a": 0, "b": 3}) == {"a": [[0, 1], [0, 1]], "b": [[1, 0, 1, 0]]}


def test_globally_counts_in_a_kernel_beyond_its_target():
    assert left(scopes.globally, {"a": -2, "b": 3}) == {"a": [[0, 1], [1, 1]], "b": [[1, 1, 1, 0]]}
    assert left(scopes.globally, {"a": -2, "b": 1}) == left(scopes.globally, {"a": 0, "b": 0})


def shapes_to_masks(shapes):
    return {str(index): np.ones(shape, bool) for index, shape in enumerate(shapes)}


def kept_by_erdos_renyi(masks, keep):
    counts = dict.fromkeys(masks, 0)
    counts[next(iter(masks))] = sum(int(mask.sum()) for mask in masks.values()) - keep
    scores = {
        name: np.arange(mask.size, dtype=float).reshape(mask.shape) for name, mask in masks.items()
    }
    return {
        name: int(mask.sum()) for name, mask in scopes.erdos_renyi(scores, masks, counts).items()
    }


def test_erdos_renyi_shares_by_the_sum_of_the_dimensions():
    # 784 + 300, 300 + 100, 100 + 10: of 1594 to keep each keeps its own sum.
    masks = shapes_to_masks([(784, 300), (300, 100), (100, 10)])
    assert kept_by_erdos_renyi(masks, 1594) == {"0": 1084, "1": 400, "2": 110}
    assert kept_by_erdos_renyi(masks, 3188) == {"0": 2168, "1": 800, "2": 220}


def test_erdos_renyi_with_kernel_dimensions():
    # 3 + 3 + 16 + 32 = 54 and 1 + 1 + 64 + 64 = 130.
    masks = shapes_to_masks([(3, 3, 16, 32), (1, 1, 64, 64)])
    assert kept_by_erdos_renyi(masks, 184) == {"0": 54, "1": 130}


def test_erdos_renyi_shares_out_what_a_full_kernel_cannot_take():
    # Of 1200, the last would get 1200 * 110 / 1594 = 83 of its 20: so 1180 * 1084 / 1484 = 861.9.
    masks = shapes_to_masks([(784, 300), (300, 100), (100, 10)])
    masks["2"].flat[20:] = False
    assert kept_by_erdos_renyi(masks, 1200) == {"0": 862, "1": 318, "2": 20}


def test_erdos_renyi_gives_the_largest_remainders_one_more():
    # Sums 5 and 7: of 5 that is 2.08 and 2.92, of 6 it is 2.5 and 3.5, and the first goes first.
    masks = shapes_to_masks([(2, 3), (3, 4)])
    assert kept_by_erdos_renyi(masks, 5) == {"0": 2, "1": 3}
    assert kept_by_erdos_renyi(masks, 6) == {"0": 3, "1": 3}


@given(
    shapes=st.lists(
        st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), min_size=1, max_size=5
    ),
    data=st.data(),
)
def test_erdos_renyi_is_exact_and_in_proportion(shapes, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    masks = {name: rng.random(mask.shape) < 0.7 for name, mask in shapes_to_masks(shapes).items()}
    alive = {name: int(mask.sum()) for name, mask in masks.items()}
    keep = data.draw(st.integers(0, sum(alive.values())))
    kept = kept_by_erdos_renyi(masks, keep)
    assert sum(kept.values()) == keep
    assert all(kept[name] <= alive[name] for name in masks)
    # No kernel with room left keeps less than its share next to any other.
    for name in masks:
        for other in masks:
            if kept[name] < alive[name]:
                share = kept[other] / sum(masks[other].shape) * sum(masks[name].shape)
                slack = 1 + sum(masks[name].shape) / sum(masks[other].shape)
                assert kept[name] >= share - slack


@pytest.mark.parametrize("scope", [scopes.layerwise, scopes.globally])
def test_more_than_there_is_cannot_be_pruned(scope):
    with pytest.raises(ValueError, match=r"`count` is .*the number alive"):
        scope(SCORES, MASKS, {"a": 9, "b": 0})
