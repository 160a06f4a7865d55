"""What survivors restart from."""

import numpy as np
import pytest

from keras_lottery.core import hold_at
from keras_lottery.core import restart_from as kept
from keras_lottery.core.kernel import Kernel


def kernel(seed=0):
    rng = np.random.default_rng(7)
    initial, current = rng.standard_normal((2, 40, 5)).astype(np.float32)
    return Kernel.of(current, initial=initial, mask=rng.random((40, 5)) < 0.6, seed=seed)


def test_rewind():
    np.testing.assert_array_equal(kept.rewind(kernel()), kernel().initial)


def test_rewind_unless_shrinking_golden():
    record = Kernel.of([0.5, -2.0, -1.0, 0.0, 3.0], initial=[1.0, -1.0, 1.0, -0.5, 0.0])
    np.testing.assert_array_equal(kept.rewind_unless_shrinking(record), [0, -1, 1, 0, 0])


def test_reinit_is_the_kernels_own_draw():
    expected = np.random.default_rng(3).standard_normal((40, 5)).astype(np.float32)
    np.testing.assert_array_equal(kept.reinit(kernel(seed=3)), expected)


def test_reshuffle_permutes_the_kept_values():
    record = kernel()
    values = kept.reshuffle(record)
    before, after = record.initial[record.mask], values[record.mask]
    np.testing.assert_array_equal(np.sort(after), np.sort(before))
    assert np.mean(after == before) < 0.1


def test_reshuffle_same_sign_permutes_the_kept_magnitudes():
    record = kernel()
    values = kept.reshuffle_same_sign(record)
    before, after = np.abs(record.initial[record.mask]), np.abs(values[record.mask])
    np.testing.assert_array_equal(np.sort(after), np.sort(before))
    assert np.mean(after == before) < 0.1


@pytest.mark.parametrize(
    "action",
    [kept.reinit_same_sign, kept.reshuffle_same_sign, kept.signed_constant],
)
def test_signs_are_kept(action):
    np.testing.assert_array_equal(np.sign(action(kernel())), np.sign(kernel().initial))


def test_trained_signs_are_those_of_now_on_a_new_draw():
    record = kernel()
    values = kept.trained_signs(record)
    np.testing.assert_array_equal(np.sign(values), np.sign(record.current))
    assert np.mean(np.abs(values) == np.abs(record.initial)) < 0.1
    assert values.dtype == record.initial.dtype


@pytest.mark.parametrize("action", [kept.reinit, kept.reshuffle, kept.constant_random_sign])
def test_signs_are_lost(action):
    agree = np.sign(action(kernel())) == np.sign(kernel().initial)
    assert 0.3 < np.mean(agree[kernel().mask]) < 0.7


@pytest.mark.parametrize("action", [kept.signed_constant, kept.constant_random_sign])
def test_the_constant_is_the_deviation_of_all_initial_values(action):
    np.testing.assert_array_equal(np.abs(action(kernel())), kernel().initial.std())


@pytest.mark.parametrize(
    "action",
    [kept.reinit_same_sign, kept.reshuffle_same_sign, kept.signed_constant],
)
def test_zero_counts_as_positive(action):
    record = Kernel.of([1.0, 1.0, 1.0], initial=[0.0, -1.0, 2.0])
    assert not np.signbit(action(record)[0])


def test_the_second_variant_treats_kept_and_pruned_weights_alike():
    np.testing.assert_array_equal(
        kept.rewind_unless_shrinking(kernel()), hold_at.freeze_unless_shrinking(kernel())
    )
