"""A row of scores for each criterion, typed by hand."""

import dataclasses

import numpy as np
import pytest

from keras_lottery.core import criteria, lookup
from keras_lottery.core.kernel import Kernel

KERNEL = Kernel.of(
    current=[0.5, 2.0, 3.0, -6.0, 0.0, 9.0],
    initial=[1.0, -2.0, 3.0, -4.0, 0.5, 9.0],
    previous=[0.0, 2.0, 1.0, -6.5, 1.0, 9.0],
    mask=[True, True, True, True, True, False],
)
# The last weight is pruned: its score means nothing, and the ranks are among five.
GOLDEN = {
    "large_final": [0.5, 2.0, 3.0, 6.0, 0.0],
    "small_final": [-0.5, -2.0, -3.0, -6.0, 0.0],
    "large_init": [1.0, 2.0, 3.0, 4.0, 0.5],
    "small_init": [-1.0, -2.0, -3.0, -4.0, -0.5],
    "large_init_large_final": [0.4, 0.6, 0.8, 1.0, 0.2],
    "small_init_small_final": [-0.4, -0.6, -0.8, -1.0, -0.2],
    "magnitude_increase": [-0.5, 0.0, 0.0, 2.0, -0.5],
    "movement": [0.5, 4.0, 0.0, 2.0, 0.5],
    "large_final_same_sign": [0.5, -2.0, 3.0, 6.0, 0.0],
    "large_final_diff_sign": [-0.5, 2.0, -3.0, -6.0, 0.0],
    "least_change": [0.5, 0.0, 2.0, 0.5, 1.0],
    "random": np.random.default_rng(0).random(6, dtype=np.float32)[:5],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_row(name):
    kernel = dataclasses.replace(KERNEL, rng=np.random.default_rng(0))
    np.testing.assert_allclose(getattr(criteria, name)(kernel)[:5], GOLDEN[name], rtol=1e-6)


def test_equal_weights_share_their_average_rank():
    kernel = Kernel.of([1.0, -1.0, 2.0, 1.0], initial=[5.0, 5.0, 5.0, 5.0])
    # Initially all four share rank 2.5 of 4; now the three ones share rank 2.
    np.testing.assert_array_equal(
        criteria.large_init_large_final(kernel), [2 / 4, 2 / 4, 2.5 / 4, 2 / 4]
    )
    np.testing.assert_array_equal(
        criteria.small_init_small_final(kernel), [-2.5 / 4, -2.5 / 4, -4 / 4, -2.5 / 4]
    )


def test_percentiles_keep_what_a_common_percentile_keeps():
    """What Zhou et al. search for: the weights above one percentile of both magnitudes."""
    rng = np.random.default_rng(3)
    initial, current = rng.standard_normal((2, 1000))
    scores = criteria.large_init_large_final(Kernel.of(current, initial=initial))
    for percentile in (10, 50, 90):
        both = (np.abs(initial) > np.percentile(np.abs(initial), percentile)) & (
            np.abs(current) > np.percentile(np.abs(current), percentile)
        )
        np.testing.assert_array_equal(scores > percentile / 100, both)


def test_of_the_weights_with_the_wrong_sign_the_small_ones_stay():
    kernel = Kernel.of([-3.0, -1.0, 0.5, -2.0], initial=[1.0, 1.0, 1.0, 1.0])
    assert np.argsort(criteria.large_final_same_sign(kernel)).tolist() == [0, 3, 1, 2]


def test_signs_are_compared_without_underflow():
    tiny = np.array([1e-30, -1e-30], np.float32)
    kernel = Kernel.of(tiny, initial=np.abs(tiny))
    np.testing.assert_array_equal(criteria.large_final_same_sign(kernel), tiny)


@pytest.mark.parametrize("name", lookup.names(criteria))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_memory_is_not_doubled_by_a_wider_dtype(name, dtype):
    scores = getattr(criteria, name)(Kernel.of(np.ones(4, dtype)))
    if "init_" in name:  # ranks need more than the 24 bits of a float32
        assert scores.dtype == np.float64
    elif name == "random":
        assert scores.dtype == np.float32
    else:
        assert scores.dtype == dtype
