"""The whole event, and all that it refuses."""

import dataclasses
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lottery.core import criteria, restart_from, scopes
from keras_lottery.core.event import prune, rewire
from keras_lottery.core.granularity import blocks, n_of_m, units, weights
from keras_lottery.core.kernel import Kernel


def kernels(masks=None):
    rng = np.random.default_rng(0)
    shapes = {"fc1": (20, 10), "fc2": (10, 6), "output": (6, 3)}
    return [
        Kernel.of(rng.standard_normal(shape), name=name, mask=masks and masks[name])
        for name, shape in shapes.items()
    ]


def pruned(masks):
    return {name: int(np.count_nonzero(~mask)) for name, mask in masks.items()}


def test_by_default_the_smallest_weights_of_each_kernel_go():
    masks = prune(kernels(), sparsity=0.5)
    assert pruned(masks) == {"fc1": 100, "fc2": 30, "output": 9}
    for kernel in kernels():
        size = np.abs(kernel.current)
        assert size[masks[kernel.name]].min() >= size[~masks[kernel.name]].max()


def test_sparsity_is_the_end_and_rate_is_the_step():
    first = prune(kernels(), sparsity=0.5)
    assert pruned(prune(kernels(first), sparsity=0.6)) == {"fc1": 120, "fc2": 36, "output": 11}
    assert pruned(prune(kernels(first), rate=0.6)) == {"fc1": 160, "fc2": 48, "output": 14}


def test_each_kernel_at_its_own_rate():
    masks = prune(kernels(), rate=0.2, overrides={"output": 0.1})
    assert pruned(masks) == {"fc1": 40, "fc2": 12, "output": 2}
    with pytest.raises(ValueError, match=r"`rate` names .*'fc9'"):
        prune(kernels(), rate=0.2, overrides={"fc9": 0.1})


@pytest.mark.parametrize("scope", [scopes.globally, scopes.erdos_renyi])
def test_an_override_holds_whatever_the_scope(scope):
    """The others share what they lose, and that is exact too."""
    for fraction, expected in ((0.0, 0), (0.5, 9), (1.0, 18)):
        masks = prune(kernels(), sparsity=0.5, scope=scope, overrides={"output": fraction})
        gone = pruned(masks)
        assert gone["output"] == expected
        assert gone["fc1"] + gone["fc2"] == 100 + 30
        assert gone["fc1"] != 100  # still over both together
    own = dict.fromkeys(gone, 0.5)
    every = prune(kernels(), sparsity=0.1, scope=scope, overrides=own)
    assert pruned(every) == {"fc1": 100, "fc2": 30, "output": 9}


@pytest.mark.parametrize("scope", [scopes.layerwise, scopes.globally, scopes.erdos_renyi])
def test_masks_only_shrink_and_nothing_comes_back(scope):
    masks = prune(kernels(), sparsity=0.5)
    for sparsity, expected in [(0.3, 139), (0.6, 167), (0.6, 167), (1.0, 278)]:
        smaller = prune(kernels(masks), sparsity=sparsity, scope=scope)
        assert all((smaller[name] <= masks[name]).all() for name in masks)
        assert sum(pruned(smaller).values()) == expected
        masks = smaller


def test_a_global_target_is_reached_in_all_also_when_one_kernel_is_beyond_it():
    masks = {"fc1": np.zeros((20, 10), bool), "fc2": np.ones((10, 6), bool)}
    masks["output"] = np.ones((6, 3), bool)  # 200 of 278 are pruned: 72 %
    left = prune(kernels(masks), sparsity=0.8, scope=scopes.globally)
    assert sum(pruned(left).values()) == 160 + 48 + 14


def test_a_criterion_of_ones_own():
    def relative_movement(kernel):
        return np.abs(kernel.current - kernel.initial) / (np.abs(kernel.initial) + 1e-3)

    kernel = Kernel.of([1.1, 0.2, 5.0], initial=[1.0, 0.1, 1.0])
    masks = prune([kernel], sparsity=0.3, criterion=relative_movement)
    np.testing.assert_array_equal(masks["kernel"], [False, True, True])


def test_a_loop_of_rounds_ends_in_a_rewound_ticket():
    """Rank, mask, rewind, repeat: the lottery in NumPy alone."""
    rng = np.random.default_rng(0)
    initial = rng.standard_normal((8, 8))
    masks = {"fc": np.ones((8, 8), bool)}
    for _ in range(3):
        trained = (initial + 0.3 * rng.standard_normal((8, 8))) * masks["fc"]
        kernel = Kernel.of(trained, initial=initial, mask=masks["fc"], name="fc")
        masks = prune([kernel], rate=0.2)
    assert pruned(masks) == {"fc": 64 - 33}  # 64, 51, 41, 33
    np.testing.assert_array_equal(restart_from.rewind(kernel), initial)


@pytest.mark.parametrize("amounts", [{}, {"sparsity": 0.5, "rate": 0.5}])
def test_one_of_sparsity_and_rate(amounts):
    with pytest.raises(ValueError, match="Give `sparsity` or `rate`, one of them"):
        prune(kernels(), **amounts)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("criterion", [criteria.large_final, criteria.random])
def test_a_weight_that_is_not_finite_is_refused_by_name(wrong, criterion):
    kernel = Kernel.of([1.0, wrong, 2.0], initial=[1.0, 1.0, 1.0], name="fc1/kernel")
    with pytest.raises(ValueError, match="Kernel 'fc1/kernel' has weights that are not finite"):
        prune([kernel], sparsity=0.5, criterion=criterion)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused_by_name(wrong):
    kernel = Kernel.of([1.0, 2.0], name="fc1/kernel")
    with pytest.raises(ValueError, match="scores for kernel 'fc1/kernel' are not all finite"):
        prune([kernel], sparsity=0.5, criterion=lambda kernel: np.array([wrong, 1.0]))


def test_the_score_of_a_pruned_weight_may_be_anything():
    kernel = Kernel.of([1.0, 0.0, 2.0], mask=[True, False, True])
    scores = np.array([1.0, np.nan, 2.0])
    masks = prune([kernel], rate=0.5, criterion=lambda kernel: scores)
    np.testing.assert_array_equal(masks["kernel"], [False, False, True])


@pytest.mark.parametrize("granularity", [weights(), blocks(2), units(), n_of_m(1, 2)])
def test_scores_may_be_whole_numbers(granularity):
    kernel = Kernel.of(np.ones((2, 2)))
    scores = np.array([[1, 4], [0, 5]])
    masks = prune([kernel], rate=0.5, criterion=lambda kernel: scores, granularity=granularity)
    assert np.count_nonzero(masks["kernel"]) == 2


def test_scores_of_another_shape_are_refused_by_name():
    with pytest.raises(ValueError, match=r"scores for kernel 'fc1' have shape \(\); .* \(20, 10\)"):
        prune(kernels(), sparsity=0.5, criterion=lambda kernel: np.abs(kernel.current).sum())


def lose_all(scores, masks, counts):
    return {name: np.zeros_like(mask) for name, mask in masks.items()}


@pytest.mark.parametrize(
    "scope, message",
    [
        (lambda scores, masks, counts: None, r"a mask for each of \['fc1', .*it returned None"),
        (lambda scores, masks, counts: {"fc1": masks["fc1"]}, r"it returned \['fc1'\]"),
        (lambda scores, masks, counts: scores, r"boolean .* 'fc1'; it returned float"),
        (
            lambda scores, masks, counts: {name: mask.T for name, mask in masks.items()},
            r"of shape \(20, 10\) for kernel 'fc1'; it returned bool of shape \(10, 20\)",
        ),
        (lambda scores, masks, counts: masks, r"pruned 0 entries; it was to prune 39"),
        (lose_all, r"The scope lose_all pruned 178 entries; it was to prune 39"),
        (
            lambda scores, masks, counts: {name: masks[name] | True for name in masks},
            "revived what is pruned in 'fc1'",
        ),
    ],
)
def test_a_scope_of_ones_own_must_keep_its_promises(scope, message):
    masks = prune(kernels(), sparsity=0.5, overrides={"fc2": 0, "output": 0})
    with pytest.raises(ValueError, match=message):
        prune(kernels(masks), sparsity=0.5, scope=scope)


def test_two_kernels_of_one_name_are_refused():
    with pytest.raises(ValueError, match="Two kernels are named 'a'"):
        prune([Kernel.of([1.0], name="a"), Kernel.of([1.0], name="a")], sparsity=0.5)


def test_blocks_together_over_kernels_of_different_shapes():
    masks = prune(kernels(), sparsity=0.5, scope=scopes.globally, granularity=blocks(4))
    # Blocks along the input axis: 5 x 10, 3 x 6 and 2 x 3.
    pieces = {name: blocks(4).pool(mask * 1.0, mask)[1] for name, mask in masks.items()}
    assert sum(pruned(pieces).values()) == 25 + 9 + 3


def test_a_criterion_that_sees_nothing_is_refused():
    """At its start, nothing has moved: the order of the weights would be all that decides."""
    with pytest.raises(ValueError, match=r"movement scores all weights alike.*begin later"):
        prune(kernels(), sparsity=0.5, criterion=criteria.movement)
    for nothing_to_choose in (0.0, 1.0):
        prune(kernels(), sparsity=nothing_to_choose, criterion=criteria.movement)


def test_ties_where_they_say_nothing_about_the_criterion():
    constant = Kernel.of(np.full((4, 4), -0.5), name="constant")
    assert pruned(prune([constant], sparsity=0.5)) == {"constant": 8}
    dead = Kernel.of(np.arange(16.0), name="dead")
    trained = Kernel.of(np.arange(16.0), initial=np.ones(16), name="trained")
    masks = prune([dead, trained], sparsity=0.5, criterion=criteria.movement)
    assert pruned(masks) == {"dead": 8, "trained": 8}


@pytest.mark.parametrize("wrong", ["blocks", blocks, 4])
def test_what_is_no_granularity_is_refused(wrong):
    with pytest.raises(ValueError, match=r"`granularity` is .*; pass what a function of"):
        prune(kernels(), sparsity=0.5, granularity=wrong)


def test_kernels_are_let_go_one_by_one():
    """Of all the values only the scores are held, however many kernels there are."""
    alive = []

    def one_by_one():
        for kernel in kernels():
            values = np.array(kernel.current)
            alive.append(weakref.ref(values))
            yield dataclasses.replace(kernel, current=values)
            del values
            assert len([array for array in alive if array() is not None]) <= 1

    assert pruned(prune(one_by_one(), sparsity=0.5)) == pruned(prune(kernels(), sparsity=0.5))


# Dropping and growing.


@st.composite
def masked_kernels(draw):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape = draw(st.sampled_from([(7,), (6, 5), (3, 8, 4), (2, 2, 6, 3)]))
    mask = rng.random(shape) < draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
    return Kernel.of(rng.integers(-3, 4, shape).astype("float32"), mask=mask, name="fc1", seed=1)


@given(masked_kernels(), st.floats(0, 1), st.sampled_from([weights(), blocks(2), units()]))
def test_as_many_grow_as_are_dropped(kernel, fraction, granularity):
    if kernel.mask.ndim < granularity.rank:
        return
    before = kernel.mask.copy()
    if granularity != weights():  # pieces that are alive or dead as a whole
        _, pieces = granularity.pool(kernel.current, kernel.mask)
        kernel = dataclasses.replace(
            kernel, mask=granularity.spread(pieces, np.ones_like(kernel.mask))
        )
        before = kernel.mask.copy()
    masks = rewire([kernel], fraction=fraction, granularity=granularity)
    pieces = [granularity.pool(kernel.current, mask)[1] for mask in (before, masks["fc1"])]
    assert np.count_nonzero(pieces[0]) == np.count_nonzero(pieces[1])
    # At most round(fraction * alive) have gone: what is dropped may come straight back.
    gone = np.count_nonzero(pieces[0] & ~pieces[1])
    assert gone <= np.floor(fraction * np.count_nonzero(pieces[0]) + 0.5)
    np.testing.assert_array_equal(kernel.mask, before)


@given(masked_kernels(), st.sampled_from([0.0, 0.3, 1.0]))
def test_what_grows_ranks_highest_of_what_is_not_alive(kernel, fraction):
    gains = np.random.default_rng(5).random(kernel.mask.shape).astype("float32")
    new = rewire([kernel], fraction=fraction, grow=lambda record: gains)["fc1"]
    count = int(np.floor(fraction * np.count_nonzero(kernel.mask) + 0.5))
    alive = np.sort(np.abs(kernel.current[kernel.mask]))
    stayed = new & kernel.mask
    assert np.count_nonzero(stayed) >= alive.size - count
    never = ~new
    grown = new & ~kernel.mask
    if grown.any() and never.any():
        assert gains[grown].min() > gains[never].max()


def test_rewire_golden():
    """The two smallest of four go; of the four that are then dead the two highest gains grow."""
    kernel = Kernel.of(
        [3.0, -1.0, 2.0, 4.0, 9.0, 9.0], mask=[True, True, True, True, False, False], name="fc1"
    )
    gains = np.array([9.0, 0.5, 3.0, 9.0, 1.0, 2.0])
    masks = rewire([kernel], fraction=0.5, grow=lambda record: gains)
    # Weight 2 was dropped and comes straight back; weight 5 grows.
    assert masks["fc1"].tolist() == [True, False, True, True, False, True]


def test_blocks_grow_as_a_whole():
    mask = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [1, 1], [1, 1]], bool)
    kernel = Kernel.of(np.ones((6, 2)) * [[1], [1], [1], [1], [2], [2]], mask=mask, name="fc1")
    gains = np.zeros((6, 2))
    gains[3, 1] = 1.0
    new = rewire([kernel], fraction=1 / 3, grow=lambda record: gains, granularity=blocks(2))["fc1"]
    assert new.T.tolist() == [
        [False, False, False, False, True, True],
        [False, False, True, True, True, True],
    ]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"fraction": 1.5}, "`rate` is 1.5"),
        ({"fraction": 0.5, "granularity": n_of_m(2, 4)}, r"n_of_m\(2, 4\) cannot grow"),
        ({"fraction": 0.5, "grow": lambda kernel: kernel.current * np.nan}, "not all finite"),
        ({"fraction": 0.5, "grow": lambda kernel: kernel.current[0]}, "have shape"),
    ],
)
def test_wrong_rewirings(settings, message):
    with pytest.raises(ValueError, match=message):
        rewire(kernels(), **settings)
