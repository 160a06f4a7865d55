"""The contract suite for a schedule."""

import pickle
from collections.abc import Callable

from keras_lottery.core import foresight
from keras_lottery.core import schedules as own


def check_schedule(schedule: Callable[[int], float], steps: int = 100) -> None:
    """Check that a schedule asks as it has to.

    Targets are sparsities in [0, 1] that do not fall. They are the same however often and in
    whatever order the schedule is called. The schedule pickles, so that a training can be resumed.

    Args:
        schedule: A function of the step.
        steps: The number of steps to ask for.

    Raises:
        AssertionError: If it breaks one of these promises; the message says which, and where.

    Example:

    >>> from keras_lottery import schedules
    >>> check_schedule(schedules.polynomial(0.9, begin=1, end=8))
    """
    ask = own.as_schedule(schedule)
    targets = [ask(step) for step in range(steps)]
    for step, target in enumerate(targets):
        assert 0 <= target <= 1, f"{schedule} asks for {target} at step {step}"
        assert step == 0 or target >= targets[step - 1], f"{schedule} falls at step {step}"
    assert [ask(step) for step in reversed(range(steps))] == targets[::-1], (
        f"{schedule} answers otherwise when it is asked again: it must have no memory"
    )
    try:
        again = own.as_schedule(pickle.loads(pickle.dumps(schedule)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"{schedule} does not pickle: {error}") from error
    assert [again(step) for step in range(steps)] == targets, (
        f"{schedule} is another one after pickling"
    )
    course = foresight.course(ask, own.plan(schedule), steps)
    assert course.reached == max([*targets, ask(steps)]), (
        f"{schedule} does not lead where `foresight` says"
    )
