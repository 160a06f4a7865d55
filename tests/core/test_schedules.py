"""Targets at given steps, settings that are refused, and the real schedules of tfmot."""

import importlib.util
import itertools
import json
import subprocess
import sys

import pytest

from keras_lottery.core import schedules
from keras_lottery.core.schedules import as_schedule, constant, geometric, polynomial


def targets(schedule, steps):
    return [round(schedule(step), 6) for step in steps]


def test_constant():
    assert targets(constant(0.5), (0, 1)) == [0.5, 0.5]
    assert targets(constant(0.5, begin=3), (2, 3)) == [0.0, 0.5]


def test_geometric():
    assert targets(geometric(0.2), range(4)) == [0.0, 0.2, 0.36, 0.488]
    assert targets(geometric(0.2, every=5, begin=2), (0, 2, 6, 7, 11, 12)) == [
        *(0.0, 0.0, 0.0),
        *(0.2, 0.2, 0.36),
    ]


def test_polynomial_is_zhu_and_guptas_cubic():
    # Their example: s_i 0, s_f 0.875; at half time 0.875 - 0.875 / 8.
    schedule = polynomial(0.875, begin=100, end=200)
    assert targets(schedule, (0, 100, 150, 200, 999)) == [0, 0, 0.765625, 0.875, 0.875]


def test_polynomial_settings():
    assert targets(polynomial(1.0, begin=0, end=4, power=1), range(5)) == [0, 0.25, 0.5, 0.75, 1]
    assert targets(polynomial(0.5, begin=2, end=4, initial=0.5), (1, 2, 3)) == [0.0, 0.5, 0.5]
    held = polynomial(0.8, begin=1, end=6, every=2, power=1)
    assert targets(held, range(1, 8)) == [0, 0, 0.32, 0.32, 0.64, 0.8, 0.8]


@pytest.mark.parametrize(
    "schedule",
    [
        constant(0.3, begin=4),
        geometric(0.5, every=3, begin=1),
        polynomial(0.9, begin=2, end=17, every=4, initial=0.2),
    ],
)
def test_a_target_is_a_float_in_range_that_never_falls(schedule):
    values = [schedule(step) for step in range(40)]
    assert all(type(value) is float and 0 <= value <= 1 for value in values)
    assert all(first <= then for first, then in itertools.pairwise(values))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constant(50), "`sparsity` is 50; .* must be in [0, 1]"),
        (lambda: constant(0.5, begin=-1), "`begin` is -1; it must be 0 or more"),
        (lambda: geometric(-0.2), "`rate` is -0.2; .* must be in [0, 1]"),
        (lambda: geometric(0.2, every=0), "`every` is 0; it must be 1 or more"),
        (lambda: geometric(0.2, begin=-1), "`begin` is -1; it must be 0 or more"),
        (lambda: polynomial(90, begin=0, end=1), "`final` is 90; .* must be in [0, 1]"),
        (lambda: polynomial(0.9, begin=4, end=4), "`end` is 4; it must be 5 or more"),
        (lambda: polynomial(0.9, begin=-2, end=4), "`begin` is -2; it must be 0 or more"),
        (lambda: polynomial(0.9, 0, 4, every=0), "`every` is 0; it must be 1 or more"),
        (lambda: polynomial(0.5, 0, 4, initial=-0.1), "`initial` is -0.1; .* in [0, 1]"),
        (lambda: polynomial(0.5, 0, 4, initial=0.6), "`initial` is 0.6; .* above `final`, 0.5"),
        (lambda: polynomial(0.5, 0, 4, power=0), "`power` is 0; it must be above 0"),
        (lambda: as_schedule(0.5), "`schedule` is 0.5; pass a function"),
        (
            lambda: as_schedule(lambda step: step)(7),
            "`the schedule at step 7` is 7.0; .* in [0, 1]",
        ),
        (lambda: as_schedule(lambda step: float("nan")), "`the schedule at step 0` is nan"),
        (lambda: as_schedule(lambda step: None), "`schedule` is None at step 0; .* in [0, 1]"),
        (lambda: as_schedule(polynomial), "`schedule` is polynomial, which .* missing 2 required"),
        (lambda: as_schedule(constant), "`schedule` is constant(0) at step 0"),
        (lambda: constant("half"), "`sparsity` is half"),
        (lambda: geometric(0.2, every=None), "`every` is None"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("(0)", r"\(0\)")):
        make()


def test_of_leaves_ours_as_they_are():
    ours = polynomial(0.9, begin=1, end=8)
    assert targets(as_schedule(ours), range(10)) == targets(ours, range(10))


TFMOT = """
import json
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule
from keras_lottery.core import schedules

decay = pruning_schedule.PolynomialDecay(0.25, 0.75, begin_step=2, end_step=10, frequency=2)
constant = pruning_schedule.ConstantSparsity(0.5, begin_step=1, end_step=5, frequency=2)
made = [schedules.as_schedule(one) for one in (decay, constant)]
print(json.dumps([[schedule(step) for step in range(13)] for schedule in made]))
"""


@pytest.mark.long
def test_the_schedules_of_tfmot():
    """In a process of its own: importing tfmot turns Keras into Keras 2 for the whole process."""
    if importlib.util.find_spec("tensorflow_model_optimization") is None:
        pytest.skip("tensorflow_model_optimization is not installed")
    out = subprocess.run(
        [sys.executable, "-c", TFMOT], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    decay, constant_ = json.loads(out.splitlines()[-1])
    ours = schedules.polynomial(0.75, begin=2, end=10, every=2, initial=0.25)
    expected = [ours(step) if step in (2, 4, 6, 8, 10) else 0 for step in range(13)]
    assert decay == pytest.approx(expected, abs=1e-6)
    assert constant_ == [0.5 if step in (1, 3, 5) else 0 for step in range(13)]
