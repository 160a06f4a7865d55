"""Fewer bits: zero stays zero, the error stays within half a step, scales only where they pay."""

import numpy as np
import pytest

from keras_lottery.exporters.tflite.rewriting import quantize


def pruned(shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * (rng.random(shape) > 0.8)).astype(np.float32)


@pytest.mark.parametrize("axis", [None, 0, 3])
def test_int8_is_within_half_a_step_and_keeps_zeros(axis):
    values = pruned((8, 3, 3, 9)) * np.logspace(-3, 0, 9, dtype=np.float32)
    integers, scales = quantize.to_int8(values, axis)
    assert scales.shape == ((1,) if axis is None else (values.shape[axis],))
    assert not integers[values == 0].any()
    assert np.abs(integers).max() == 127
    if axis is not None:
        scales = np.expand_dims(scales, [a for a in range(4) if a != axis])
    assert (np.abs(values - integers * scales) <= 0.5001 * scales).all()


def test_one_scale_serves_where_the_channels_are_alike():
    assert quantize.to_int8(pruned((30, 40)), axis=0)[1].size == 1


def test_a_dead_channel_and_a_dead_weight_have_scales_that_are_positive():
    values = pruned((4, 9)) * np.array([[1], [0], [1e-3], [1]], np.float32)
    assert (quantize.to_int8(values, axis=0)[1] > 0).all()
    integers, scales = quantize.to_int8(np.zeros((3, 3), np.float32), axis=0)
    assert not integers.any() and scales.tolist() == [pytest.approx(1 / 127)]


def test_float16_refuses_what_it_cannot_hold():
    assert quantize.to_float16(np.array([0, 1e5], np.float32)) is None
    assert quantize.to_float16(np.array([0, 1e4], np.float32)).dtype == np.float16


def test_a_channel_of_the_smallest_numbers_has_a_scale_all_the_same():
    values = np.array([[1e-45, 0], [1.0, -1.0]], np.float32)
    integers, scales = quantize.to_int8(values, axis=0)
    assert (scales > 0).all()
    assert integers[0].tolist() == [0, 0]


def test_weights_too_small_for_float16_stay_float32():
    assert quantize.to_float16(np.full((2, 2), 3e-8, np.float32)) is None
    assert quantize.to_float16(np.zeros((2, 2), np.float32)) is not None
