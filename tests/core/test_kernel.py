"""The record refuses arrays that do not belong together."""

import dataclasses

import numpy as np
import pytest

from keras_lottery.core.kernel import Kernel, check_seed


def test_of_fills_in_what_is_left_out():
    kernel = Kernel.of([[1.0, -2.0]], name="fc1/kernel")
    assert kernel.name == "fc1/kernel"
    assert kernel.current.dtype == kernel.initial.dtype == kernel.previous.dtype == np.float32
    np.testing.assert_array_equal(kernel.initial, [[1.0, -2.0]])
    np.testing.assert_array_equal(kernel.mask, [[True, True]])
    assert kernel.draw(kernel.rng).shape == (1, 2)


def test_of_keeps_the_dtype_of_an_array():
    kernel = Kernel.of(np.ones(3, np.float64), initial=[1, 2, 3])
    assert kernel.current.dtype == kernel.initial.dtype == np.float64


def test_previous_is_initial_before_the_first_pruning():
    kernel = Kernel.of([1.0, 2.0], initial=[3.0, 4.0])
    np.testing.assert_array_equal(kernel.previous, [3.0, 4.0])


@pytest.mark.parametrize("field", ["initial", "mask", "previous"])
def test_another_shape_is_refused(field):
    with pytest.raises(ValueError, match=rf"kernel 'fc1': `{field}` has shape \(3,\); .*\(2,\)"):
        Kernel.of([1.0, 2.0], name="fc1", **{field: [1.0, 1.0, 1.0]})


def test_a_mask_of_numbers_is_refused():
    kernel = Kernel.of([1.0, 2.0], name="fc1")
    with pytest.raises(ValueError, match="kernel 'fc1': `mask` has dtype float64; it must be bool"):
        dataclasses.replace(kernel, mask=np.ones(2))


def test_what_no_generator_takes_is_no_seed():
    check_seed(np.int64(3))
    for wrong in (-1, 0.5, None):
        with pytest.raises(ValueError, match=f"`seed` is {wrong}; it must be a whole number"):
            check_seed(wrong)
