"""What everything that can be added promises, for whatever the registries find.

A new function in `core/criteria.py`, `restart_from.py`, `hold_at.py`, `scopes.py`, `granularity.py`
or `schedules.py`, and a new file in `scorers/`, is tested here from the moment it exists.
"""

import inspect

import numpy as np
import pytest

from keras_lottery import scorers, testing
from keras_lottery.core import (
    criteria,
    granularity,
    hold_at,
    lookup,
    restart_from,
    schedules,
    scopes,
)
from keras_lottery.core.made import Made

# Arguments of a first try; those of a maker that is not here are made up by its annotations.
ARGUMENTS = {"n_of_m": (2, 4), "polynomial": (0.9, 1, 8)}
MADE_UP = {"int": 2, "float": 0.5}


def found(module):
    return [getattr(module, name) for name in lookup.names(module)]


def records(module):
    """What every maker of a module makes."""
    for make in found(module):
        parameters = inspect.signature(make).parameters.values()
        needed = [MADE_UP.get(p.annotation) for p in parameters if p.default is p.empty]
        arguments = ARGUMENTS.get(make.__name__, needed)
        if None not in arguments and isinstance(made := make(*arguments), Made):
            yield made


@pytest.mark.parametrize("criterion", found(criteria))
def test_criterion(criterion):
    testing.check_criterion(criterion)


@pytest.mark.parametrize("action", [*found(restart_from), *found(hold_at)])
def test_action(action):
    testing.check_action(action)


@pytest.mark.parametrize("scope", found(scopes))
def test_scope(scope):
    testing.check_scope(scope)


@pytest.mark.parametrize("record", list(records(granularity)), ids=repr)
def test_granularity(record):
    testing.check_granularity(record)


@pytest.mark.parametrize("record", list(records(schedules)), ids=repr)
def test_schedule(record):
    testing.check_schedule(record)


@pytest.mark.parametrize("name", scorers.names())
def test_scorer(name):
    testing.check_scorer(scorers.resolve(name))


def test_all_makers_were_tried():
    """A maker whose arguments cannot be made up needs a line in `ARGUMENTS`."""
    for module in (granularity, schedules):
        makers = [make for make in found(module) if hasattr(make, "__wrapped__")]
        assert len(list(records(module))) == len(makers) > 2


# The suites notice what breaks a promise.


@pytest.mark.parametrize(
    "criterion, message",
    [
        (lambda kernel: kernel.current[0], "returned shape"),
        (lambda kernel: kernel.mask, "not floating point"),
        (lambda kernel: kernel.current / 0 * 0, "not finite"),
        (lambda kernel: kernel.initial, "must return a new array"),
        (
            lambda kernel: np.random.default_rng().random(kernel.current.shape),
            "differs for the same seed",
        ),
        (lambda kernel: kernel.current + kernel.rng.bit_generator.state["state"]["state"], "draw"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_broken_criterion_is_found(criterion, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_criterion(criterion)


def test_an_action_of_another_dtype_is_found():
    with pytest.raises(AssertionError, match="returned float64 for a kernel of float"):
        testing.check_action(lambda kernel: kernel.initial.astype("float64"))


@pytest.mark.parametrize(
    "scope, message",
    [
        (lambda scores, masks, counts: {}, "returned masks for"),
        (lambda scores, masks, counts: {n: m.copy() for n, m in masks.items()}, "in place of"),
        (
            lambda scores, masks, counts: scopes.layerwise(
                {name: -one for name, one in scores.items()}, masks, counts
            ),
            "kept a lower score than it dropped",
        ),
        (
            lambda scores, masks, counts: {
                name: np.flip(mask).copy()
                for name, mask in scopes.layerwise(
                    {name: np.flip(one) for name, one in scores.items()},
                    {name: np.flip(one) for name, one in masks.items()},
                    counts,
                ).items()
            },
            "ties fall by index",
        ),
    ],
)
def test_a_broken_scope_is_found(scope, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_scope(scope)


@pytest.mark.parametrize(
    "schedule, message",
    [
        (lambda step: 1 - step / 100, "falls at step 1"),
        (lambda step: next(COUNTER) / 1e6, "no memory"),
        (lambda step: 0.5, "pickle"),
    ],
)
def test_a_broken_schedule_is_found(schedule, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_schedule(schedule)


COUNTER = iter(range(10**6))


@pytest.mark.parametrize(
    "scorer, message",
    [
        (lambda kernel: kernel, "must take"),
        (lambda model, data, rng: {}, "has no scores for 'conv/kernel'"),
        (lambda model, data, rng: model.fit(*data, verbose=0) and {}, "changed the model"),
    ],
)
def test_a_broken_scorer_is_found(scorer, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_scorer(scorer)
