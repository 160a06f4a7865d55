"""What every criterion, action and scope promises, for whatever the lookup finds.

A new function in `core/criteria.py`, `kept.py`, `pruned.py` or `scopes.py` is tested here from the
moment it exists.
"""

import itertools

import numpy as np
import pytest

from keras_lottery.core import criteria, kept, lookup, pruned, scopes
from keras_lottery.core.kernel import Kernel


def found(*modules):
    return [
        pytest.param(getattr(module, name), id=f"{module.__name__.rpartition('.')[2]}.{name}")
        for module in modules
        for name in lookup.names(module)
    ]


ACTIONS = found(kept, pruned)
OF_A_KERNEL = found(criteria, kept, pruned)
SCOPES = found(scopes)
SHAPES = [(7,), (6, 4), (3, 5, 4), (3, 3, 2, 4)]
WEIGHTS = {
    "random": lambda rng, shape: rng.standard_normal(shape),
    "tied": lambda rng, shape: rng.integers(-1, 2, shape),
    "zero": lambda rng, shape: np.zeros(shape),
}
ALIVE = {"all": 1.0, "some": 0.5, "none": 0.0}


def make_kernel(shape, weights="random", alive="some", seed=0):
    """A kernel that cannot be written to."""
    rng = np.random.default_rng(11)
    arrays = [WEIGHTS[weights](rng, shape).astype(np.float32) for _ in range(3)]
    kernel = Kernel.of(
        arrays[0],
        initial=arrays[1],
        previous=arrays[2],
        mask=rng.random(shape) < ALIVE[alive],
        seed=seed,
    )
    for array in arrays_of(kernel):
        array.flags.writeable = False
    return kernel


def arrays_of(kernel):
    return kernel.current, kernel.initial, kernel.previous, kernel.mask


@pytest.mark.parametrize("alive", ALIVE)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("shape", SHAPES, ids=len)
@pytest.mark.parametrize("function", OF_A_KERNEL)
def test_of_a_kernel(function, shape, weights, alive):
    kernel = make_kernel(shape, weights, alive)
    values = function(kernel)
    assert values.shape == shape
    assert np.issubdtype(values.dtype, np.floating)
    assert np.isfinite(values).all()
    assert not any(np.shares_memory(values, array) for array in arrays_of(kernel))
    again = function(make_kernel(shape, weights, alive))
    np.testing.assert_array_equal(values, again)  # the same seed, the same result


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("action", ACTIONS)
def test_actions_keep_the_dtype(action, dtype):
    assert action(Kernel.of(np.ones((3, 2), dtype))).dtype == dtype


@pytest.mark.parametrize("function", OF_A_KERNEL)
def test_randomness_comes_from_the_kernel_alone(function):
    kernel, other = make_kernel((40, 5), seed=1), make_kernel((40, 5), seed=2)
    before = kernel.rng.bit_generator.state
    differs = not np.array_equal(function(kernel), function(other))
    assert differs == (kernel.rng.bit_generator.state != before)


def make_event(weights, alive):
    """The scores and masks of one kernel of each rank, read-only."""
    rng = np.random.default_rng(5)
    scores = {str(len(shape)): WEIGHTS[weights](rng, shape).astype(np.float32) for shape in SHAPES}
    masks = {name: rng.random(array.shape) < ALIVE[alive] for name, array in scores.items()}
    for array in itertools.chain(scores.values(), masks.values()):
        array.flags.writeable = False
    return scores, masks


def alive_in(masks):
    return sum(int(mask.sum()) for mask in masks.values())


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("alive", ALIVE)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("scope", SCOPES)
def test_scope(scope, weights, alive, part):
    scores, masks = make_event(weights, alive)
    counts = {name: int(part * mask.sum()) for name, mask in masks.items()}
    left = scope(scores, masks, counts)
    assert list(left) == list(masks)
    assert alive_in(left) == alive_in(masks) - sum(counts.values())
    for name, mask in masks.items():
        assert left[name].dtype == bool
        assert left[name].shape == mask.shape
        assert not np.shares_memory(left[name], mask)
        assert (left[name] <= mask).all()  # masks only shrink
        dropped, stayed = mask & ~left[name], left[name]
        if dropped.any() and stayed.any():
            last, first = scores[name][dropped].max(), scores[name][stayed].min()
            assert last <= first
            if last == first:  # ties fall by index
                tied = scores[name] == first
                assert np.flatnonzero(dropped & tied).max() < np.flatnonzero(stayed & tied).min()
    again = scope(*make_event(weights, alive), counts)
    for name in masks:
        np.testing.assert_array_equal(left[name], again[name])


@pytest.mark.parametrize("scope", SCOPES)
def test_beyond_the_target_nothing_comes_back(scope):
    scores, masks = make_event("random", "some")
    left = scope(scores, masks, dict.fromkeys(masks, -2))
    for name in masks:
        np.testing.assert_array_equal(left[name], masks[name])
