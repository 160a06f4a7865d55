"""Blocks, units and N:M groups, also where they do not divide the kernel."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lottery.core import scopes
from keras_lottery.core.event import prune
from keras_lottery.core.granularity import blocks, n_of_m, units, weights
from keras_lottery.core.kernel import Kernel


def test_blocks_pool_along_the_input_axis_and_keep_a_smaller_one_at_the_end():
    scores = np.array([[1, 5], [2, 5], [3, 5], [4, 5], [6, 9], [8, 9]], np.float32)
    mask = np.ones((6, 2), bool)
    pooled, pieces = blocks(4).pool(scores, mask)
    np.testing.assert_array_equal(pooled, np.array([[2.5, 5], [7, 9]], np.float32))
    assert pooled.dtype == np.float32
    assert pieces.all()
    left = blocks(4).spread(np.array([[False, True], [True, False]]), mask)
    np.testing.assert_array_equal(left.T.astype(int), [[0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 0, 0]])


def test_a_block_lives_while_one_weight_does_and_scores_the_mean_of_the_live():
    scores = np.array([[1.0], [9.0], [3.0], [9.0], [9.0], [9.0]])
    mask = np.array([[True], [False], [True], [False], [False], [False]])
    pooled, pieces = blocks(3).pool(scores, mask)
    np.testing.assert_array_equal(pooled, [[2.0], [0.0]])
    np.testing.assert_array_equal(pieces, [[True], [False]])
    np.testing.assert_array_equal(blocks(3).spread(pieces, mask), mask)


def test_blocks_of_a_convolution_lie_along_its_input_channels():
    scores = np.zeros((2, 2, 8, 3))
    scores[1, 0, 4:, 2] = 1
    pooled, _ = blocks(4).pool(scores, np.ones(scores.shape, bool))
    assert pooled.shape == (2, 2, 2, 3)
    assert pooled[1, 0, 1, 2] == 1 and pooled.sum() == 1


def test_units_are_whole_filters():
    kernel = Kernel.of(np.arange(1.0, 25.0).reshape(2, 1, 3, 4) % 5)
    masks = prune([kernel], sparsity=0.5, granularity=units())
    per_filter = masks["kernel"].reshape(-1, 4)
    assert sorted(per_filter.all(axis=0).tolist()) == [False, False, True, True]
    assert sorted(per_filter.any(axis=0).tolist()) == [False, False, True, True]


@pytest.mark.parametrize("make", [lambda: blocks(4), lambda: blocks(16), units])
@pytest.mark.parametrize("shape", [(7, 3), (32, 5), (3, 3, 18, 4), (3, 3, 8, 1)])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 1.0])
def test_counts_are_exact_in_pieces(make, shape, sparsity):
    granularity = make()
    kernel = Kernel.of(np.random.default_rng(0).standard_normal(shape))
    mask = prune([kernel], sparsity=sparsity, granularity=granularity)["kernel"]
    pieces = granularity.pool(kernel.current, mask)[1]
    assert np.count_nonzero(~pieces) == int(sparsity * pieces.size + 0.5)
    # Nothing is half pruned.
    np.testing.assert_array_equal(granularity.spread(pieces, np.ones(shape, bool)), mask)


def test_blocks_are_pruned_by_their_mean():
    current = np.array([[9, 2, 1], [0, 2, 1], [0, 2, 1], [0, 2, 9]])
    mask = prune([Kernel.of(current.astype(float))], rate=1 / 3, granularity=blocks(4))["kernel"]
    np.testing.assert_array_equal(mask.all(axis=0), [True, False, True])


@given(
    scores=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=9),
        elements=st.floats(-3, 3, width=16),
    ),
    dead=st.floats(0, 1),
    pattern=st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 4), (4, 4)]),
)
def test_n_of_m_frees_exactly_what_may_go(scores, dead, pattern):
    n, m = pattern
    mask = np.random.default_rng(scores.size).random(scores.shape) >= dead
    marked, pieces = n_of_m(n, m).pool(scores, mask)
    np.testing.assert_array_equal(pieces, mask)
    np.testing.assert_array_equal(marked[np.isfinite(marked)], scores[np.isfinite(marked)])
    left = mask & np.isposinf(marked)  # all that may go is gone
    length = mask.shape[-2]
    for start in range(0, length, m):
        group = np.s_[..., start : start + m, :]
        missing = m - mask[group].shape[-2]
        alive = np.count_nonzero(mask[group], axis=-2)
        # n stay of m; the end of the axis and the dead have used up some of the m - n.
        np.testing.assert_array_equal(np.count_nonzero(left[group], axis=-2), np.minimum(alive, n))
        assert missing == 0 or start + m > length
        # The lowest of the live go.
        gone = np.where(mask[group] & ~left[group], scores[group], -np.inf).max(axis=-2)
        stay = np.where(left[group], scores[group], np.inf).min(axis=-2)
        assert (gone <= stay).all()


@pytest.mark.parametrize("shape", [(8, 5), (3, 3, 16, 4)])
@pytest.mark.parametrize("scope", [scopes.layerwise, scopes.globally])
def test_half_of_two_of_four_is_the_perfect_pattern(shape, scope):
    kernel = Kernel.of(np.random.default_rng(0).standard_normal(shape))
    mask = prune([kernel], sparsity=0.5, granularity=n_of_m(2, 4), scope=scope)["kernel"]
    groups = mask.reshape(*shape[:-2], -1, 4, shape[-1])
    assert (groups.sum(axis=-2) == 2).all()


def test_in_a_group_ties_fall_by_index():
    kernel = Kernel.of(np.tile([1.0, 2.0], 32).reshape(64, 1))
    mask = prune([kernel], sparsity=0.75, granularity=n_of_m(16, 64))["kernel"]
    assert np.flatnonzero(mask).tolist() == list(range(33, 64, 2))


def test_two_of_four_is_exact_on_the_way_there():
    kernel = Kernel.of(np.random.default_rng(0).standard_normal((40, 5)))
    mask = prune([kernel], sparsity=0.3, granularity=n_of_m(2, 4))["kernel"]
    assert np.count_nonzero(~mask) == 60
    assert mask.reshape(10, 4, 5).sum(axis=1).min() >= 2


@pytest.mark.parametrize("scope", [scopes.layerwise, scopes.globally, scopes.erdos_renyi])
def test_more_than_n_of_m_allows_is_refused_by_name(scope):
    kernel = Kernel.of(np.random.default_rng(0).standard_normal((8, 5)), name="fc1/kernel")
    with pytest.raises(
        ValueError,
        match=r"n_of_m\(2, 4\) can prune 20 of the 40 weights of kernel 'fc1/kernel'.*; 22 were",
    ):
        prune([kernel], sparsity=0.55, granularity=n_of_m(2, 4), scope=scope)


def test_a_kernel_that_m_does_not_divide_reaches_less():
    """Three input channels are a group of four with one gone: one more may go."""
    kernel = Kernel.of(np.random.default_rng(0).standard_normal((3, 3, 3, 8)), name="conv1")
    mask = prune([kernel], sparsity=1 / 3, granularity=n_of_m(2, 4))["conv1"]
    assert (mask.sum(axis=-2) == 2).all()
    with pytest.raises(ValueError, match="can prune 72 of the 216 weights of kernel 'conv1'"):
        prune([kernel], sparsity=0.5, granularity=n_of_m(2, 4))


@pytest.mark.parametrize("granularity", [blocks(4), units(), n_of_m(2, 4)], ids=lambda g: g.name)
def test_a_vector_is_refused_by_name(granularity):
    kernel = Kernel.of(np.ones(4), name="norm/gamma")
    with pytest.raises(ValueError, match=r"cannot prune kernel 'norm/gamma' of shape \(4,\)"):
        prune([kernel], sparsity=0.5, granularity=granularity)


def test_a_vector_has_single_weights():
    masks = prune([Kernel.of([1.0, 2.0])], sparsity=0.5, granularity=weights())
    np.testing.assert_array_equal(masks["kernel"], [False, True])


@pytest.mark.parametrize("make", [lambda: blocks(0), lambda: n_of_m(0, 4), lambda: n_of_m(5, 4)])
def test_impossible_sizes_are_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()
