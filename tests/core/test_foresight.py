"""Where schedules lead, by asking them."""

import pytest

from keras_lottery.core import schedules
from keras_lottery.core.foresight import Course, course, most


class Tfmot:
    """Prunes at some steps only, as tfmot's `PolynomialDecay` does."""

    begin_step = 100

    def __call__(self, step):
        progress = min(max((step - 100) / 900, 0), 1)
        return 100 <= step <= 1000 and (step - 100) % 90 == 0, 0.25 + 0.25 * progress


@pytest.mark.parametrize(
    "schedule, last, expected",
    [
        (schedules.constant(0.5, begin=3), 2, Course(0.5, 3, 3, 0, 0, False)),
        (schedules.constant(0.5, begin=3), 9, Course(0.5, 3, 3, 0.5, 3, False)),
        (schedules.constant(0.0), 9, Course(0.0, 0, 0, 0, 0, False)),
        (schedules.polynomial(0.8, 0, 4, power=1), 3, Course(0.8, 1, 4, 0.6, 3, False)),
        # The cubic's last step is a small one, and counts.
        (schedules.polynomial(0.8, 0, 300), 9999, Course(0.8, 1, 300, 0.8, 300, False)),
        (schedules.geometric(0.5, every=3), 7, Course(1.0, 3, 162, 0.75, 6, True)),
        (lambda step: [0.0, 0.1, 0.1, 0.6][step], 1, Course(0.6, 1, 3, 0.1, 1, False)),
        (Tfmot(), 50, Course(0.5, 100, 1000, 0, 0, False)),
        (Tfmot(), 500, Course(0.5, 100, 1000, 0.35, 500, False)),
        # Long after its end it prunes no more, and has pruned all the same.
        (Tfmot(), 100_000, Course(0.5, 100, 1000, 0.5, 1000, False)),
    ],
)
def test_golden(schedule, last, expected):
    found = course(schedules.as_schedule(schedule), schedules.plan(schedule), last)
    assert found.asked == pytest.approx(expected.asked)
    assert found.reached == pytest.approx(expected.reached)
    assert found.endless == expected.endless
    assert found.last_change == expected.last_change
    if expected.asked:
        assert (found.begin, found.end) == (expected.begin, expected.end)


def test_a_schedule_that_falls_asks_for_its_peak():
    found = course(*[lambda step: 0.5 if step == 2 else 0.0] * 2, last=4)
    assert (found.asked, found.end, found.reached) == (0.5, 0, 0.5)


def test_most():
    assert most(lambda step: step / 10, 3, 2) == 0.0
    assert most(lambda step: abs(5 - step) / 10, 2, 6) == 0.3
