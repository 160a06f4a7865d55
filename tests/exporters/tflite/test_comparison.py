"""Errors are judged in the units of what they belong to: outputs, classes, channels."""

import numpy as np
import pytest

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import comparison
from keras_lottery.exporters.tflite.comparison import Tolerance

SCORES = np.array([[0.0, 1.0, 2.0], [4.0, 3.9, 0.0], [1.0, 0.0, 0.0]])
INTEGERS = Tolerance(output=0.25, channel=1.0, step=1 / 256)
FLOATS = Tolerance(output=1e-4, channel=4e-4)


def named(*classes):
    """What `verify.answers` returns for a file that answers with these classes."""
    return {"XNNPACK": [np.eye(3)[list(classes)]]}


def judged(got, wanted, tolerance=INTEGERS):
    return comparison.channels({"XNNPACK": [got]}, [("y", wanted)], tolerance)


def test_classes_that_score_alike_may_change_places():
    expected = [("scores", SCORES)]
    assert comparison.classes(named(2, 0, 0), expected, 0.05) == comparison.Classes(1.0, 0.0)
    # The second example's two best are 0.1 of 4 apart.
    found = comparison.classes(named(2, 1, 0), expected, 0.05)
    assert (found.agreement, found.score_gap) == pytest.approx((2 / 3, 0.025))


def test_a_class_that_is_clearly_behind_must_not_win():
    match = "'scores' in XNNPACK names class 1 for example 0, Keras class 2, by 0.25 of the largest"
    with pytest.raises(tflite.ExportError, match=match):
        comparison.classes(named(1, 0, 0), [("scores", SCORES)], tolerance=0.2)
    assert comparison.classes(named(1, 0, 0), [("scores", SCORES)], tolerance=0.25).agreement < 1


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4), (1, 2, 3, 4)])
def test_classes_lie_along_the_last_axis_of_any_rank(shape):
    wanted = np.eye(4)[[0, 1, 2, 3, 0, 1]].reshape(shape) * 0.5 + 0.1
    got = wanted.copy()
    got.reshape(6, 4)[5] = [0.1, 0.1, 0.1, 0.6]
    found = comparison.classes({"XNNPACK": [got]}, [("pixels", wanted)], tolerance=0.9)
    assert found.agreement == pytest.approx(5 / 6)


def test_where_a_dense_prediction_is_wrong_is_said():
    wanted = np.zeros((2, 3, 4, 5))
    wanted[..., 2] = 1
    got = wanted.copy()
    got[1, 2, 3] = [0, 0, 0, 0, 3]
    with pytest.raises(tflite.ExportError, match=r"class 4 for example 1 at \(2, 3\), Keras class"):
        comparison.classes({"XNNPACK": [got]}, [("map", wanted)], tolerance=0.1)


def test_outputs_without_classes_have_none():
    for output in (SCORES[:, :1], SCORES[:, 0]):
        found = comparison.classes({"XNNPACK": [output]}, [("x", output)], tolerance=0.1)
        assert found.agreement is None


def test_whole_numbers_are_classes():
    wanted = np.array([3, 1, 2, 2], np.int32)
    got = np.array([3, 1, 2, 0], np.int32)
    expected = [("class", wanted)]
    assert comparison.classes({"XNNPACK": [got]}, expected, 0.25).agreement == 0.75
    with pytest.raises(
        tflite.ExportError, match=r"differs from Keras in 25\.0% of its whole numbers"
    ):
        comparison.classes({"XNNPACK": [got]}, expected, 0.05)
    assert comparison.errors({"XNNPACK": [got]}, expected, 1e-4) == {"XNNPACK": 0.0}


def test_errors_within_the_tolerance_may_not_change_a_clear_answer():
    """Two errors of 0.08 turn a lead of 0.15: each alone is allowed, and the class is wrong."""
    wanted, got = np.array([[1.0, 0.85]]), np.array([[0.92, 0.93]])
    assert comparison.errors({"XNNPACK": [got]}, [("x", wanted)], 0.1)["XNNPACK"] < 0.1
    with pytest.raises(tflite.ExportError, match="names class 1"):
        comparison.classes({"XNNPACK": [got]}, [("x", wanted)], tolerance=0.1)


def beside_each_other(shape, large, small):
    """Channels of two sizes, the large ones first, and the same with the small ones all alike."""
    rng = np.random.default_rng(0)
    wanted = rng.random((*shape, 5)) * ([large] * 2 + [small] * 3)
    got = wanted.copy()
    got[..., 2:] = small
    return wanted, got


@pytest.mark.parametrize("shape", [(20,), (4, 6), (2, 3, 4), (2, 2, 3, 2)])
def test_small_channels_beside_large_ones_are_judged_by_their_own_range(shape):
    wanted, got = beside_each_other(shape, 600.0, 0.5)
    assert comparison.errors({"XNNPACK": [got]}, [("y", wanted)], 0.25)["XNNPACK"] < 0.001
    match = r"'y' loses 3 of 5 channels \(2, 3, 4\): channel \d is off by 0.\d+ where it varies by"
    with pytest.raises(tflite.ExportError, match=match):
        judged(got, wanted)
    assert judged(wanted + 0.1, wanted).error < 0.3


def test_the_cure_is_said_in_one_sentence_however_many_are_lost():
    rng = np.random.default_rng(0)
    wanted = np.concatenate([100 * rng.random((9, 1)), rng.random((9, 300))], axis=1)
    got = np.concatenate([wanted[:, :1], np.zeros((9, 300))], axis=1)
    with pytest.raises(tflite.ExportError, match="300 of 301 channels") as failure:
        judged(got, wanted)
    assert "Give them an output of their own, or store weights in a higher" in str(failure.value)
    assert len(str(failure.value)) < 400


@pytest.mark.parametrize("shape", [(30,), (30, 1), (10, 3, 1)])
def test_a_forecast_around_a_large_value_is_judged_by_what_it_varies(shape):
    wanted = 1013 + np.random.default_rng(0).uniform(-2, 2, shape)
    got = np.full(shape, 1012.0)
    with pytest.raises(tflite.ExportError, match=r"loses the only channel .* Take a constant out"):
        judged(got, wanted)


def test_a_channel_in_the_middle_of_its_range_is_lost_though_it_is_off_by_half_of_it():
    wanted = np.stack([np.linspace(0, 1, 9), np.linspace(0, 100, 9)], axis=1)
    got = wanted.copy()
    got[:, 0] = 0.5
    with pytest.raises(tflite.ExportError, match=r"1 of 2 channels \(0\)"):
        judged(got, wanted)
    got[:4, 0] = 0.45
    assert judged(got, wanted).worst == (("y", 0),)


def test_a_channel_that_does_not_vary_is_judged_by_its_output():
    wanted = np.stack([np.linspace(0, 100, 9), np.full(9, 7.0), np.full(9, 7.0) + 1e-5], axis=1)
    assert judged(wanted + np.array([0, 30, 0]), wanted).error == pytest.approx(0.3)
    with pytest.raises(tflite.ExportError, match="1 of 3"):
        judged(wanted + np.array([0, 101, 0]), wanted)
    constant = np.full((9, 3), 5.0)
    assert judged(constant + 0.5, constant).worst == ()


def test_a_softmax_of_many_classes_whose_classes_agree_is_sound():
    """Most of its channels are zero in the file, and vary by less than a step of int8 in Keras."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (40, 1000))
    scores[np.arange(40), rng.integers(0, 1000, 40)] += 12
    wanted = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    got = np.round(wanted * 256) / 256
    assert np.count_nonzero(np.ptp(got, axis=0) == 0) > 500
    assert judged(got, wanted).worst == ()
    assert comparison.classes({"XNNPACK": [got]}, [("y", wanted)], 0.25).agreement == 1


def test_a_softmax_that_always_answers_alike_in_the_file_is_not():
    wanted = np.stack([np.linspace(0.3, 0.7, 20), np.linspace(0.7, 0.3, 20)], axis=1)
    got = np.full((20, 2), 0.5)
    with pytest.raises(tflite.ExportError, match="loses 2 of 2 channels"):
        judged(got, wanted)


def test_a_softmax_of_which_int8_tells_neither_channels_nor_classes_is_not():
    """A thousand classes score up to one step, and every sample another class highest."""
    wanted = np.full((40, 1000), 0.001)
    wanted[np.arange(40), 10 + np.arange(40)] += 0.002
    wanted /= wanted.sum(axis=1, keepdims=True)
    with pytest.raises(tflite.ExportError, match="'y' loses its classes: 100% of the compared"):
        judged(np.zeros_like(wanted), wanted)
    judged(np.round(wanted * 512) / 512, wanted)


def test_two_steps_of_int8_are_no_error_of_a_softmax():
    """Of a hundred classes each scores one to three steps."""
    wanted = np.full((8, 100), 0.01)
    got = wanted + np.tile([2 / 256, -2 / 256], 50) * 0.99
    with pytest.raises(tflite.ExportError, match=r"is off by 0\.77 of its largest"):
        comparison.errors({"XNNPACK": [got]}, [("y", wanted)], 0.25)
    found = comparison.errors({"XNNPACK": [got]}, [("y", wanted)], 0.25, step=1 / 256)
    assert found["XNNPACK"] == pytest.approx(0.77, abs=0.01)


def test_rounding_of_large_numbers_is_no_error_of_their_small_difference():
    """As where a ReLU cuts a sum of large terms off just above zero."""
    wanted = np.stack([np.linspace(-5e-4, 5e-4, 30), np.linspace(0, 4e-8, 30)], axis=1)
    assert judged(wanted + np.array([0, 4e-11]), wanted, FLOATS).worst == ()
    with pytest.raises(tflite.ExportError, match=r"loses 1 of 2 channels \(1\)"):
        judged(wanted + np.array([0, 4e-10]), wanted, FLOATS)


def test_rounding_of_float32_is_no_error_of_a_channel():
    wanted = 1013 + np.random.default_rng(0).uniform(-0.5, 0.5, (30, 1))
    assert judged(wanted.astype(np.float32), wanted, FLOATS).worst == ()
    with pytest.raises(tflite.ExportError, match="the only channel"):
        judged(wanted + 0.02, wanted, FLOATS)
