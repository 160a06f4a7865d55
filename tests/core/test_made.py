"""Records that are the call that made them, whatever makes them."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest

from keras_lottery.core import granularity, lookup, made, schedules

ARGUMENTS = {
    granularity: {"blocks": (4,), "n_of_m": (2, 4)},
    schedules: {
        "constant": (0.5,),
        "geometric": (0.2, 2),
        "polynomial": (0.9, 1, 8),
    },
}
# What makes no record but takes one.
NO_MAKERS = {"of", "plan"}


def calls():
    """Every maker of the two modules that needs no arguments or has some here; for all of them see
    the contract suite."""
    for module, arguments in ARGUMENTS.items():
        for name in lookup.names(module):
            make = getattr(module, name)
            needed = [
                p for p in inspect.signature(make).parameters.values() if p.default is p.empty
            ]
            if name not in NO_MAKERS and (name in arguments or not needed):
                yield pytest.param(module, name, arguments.get(name, ()), id=name)


@pytest.mark.parametrize("module, name, arguments", list(calls()))
def test_a_record_is_the_call(module, name, arguments):
    make = getattr(module, name)
    record, again = make(*arguments), make(*arguments)
    assert record == again and hash(record) == hash(again)
    assert record is not again
    assert eval(repr(record), vars(module)) == record
    assert pickle.loads(pickle.dumps(record)) == record == copy.deepcopy(record)
    written = json.loads(json.dumps(record.to_json()))
    assert made.from_json(module, written) == record
    assert record != make and record != 0


def test_other_calls_are_other_records():
    assert granularity.blocks(4) != granularity.blocks(8)
    assert granularity.weights() != granularity.units()
    assert schedules.constant(0.5) == schedules.constant(sparsity=0.5, begin=0)
    assert schedules.constant(np.float64(0.5)) == schedules.constant(0.5)
    assert repr(schedules.polynomial(0.9, begin=1, end=8, power=1)) == (
        "polynomial(0.9, begin=1, end=8, power=1)"
    )


def test_a_schedule_that_was_pickled_still_asks():
    schedule = pickle.loads(pickle.dumps(schedules.polynomial(0.8, begin=1, end=5)))
    assert [round(schedule(step), 4) for step in (1, 2, 5)] == [0.0, 0.4625, 0.8]


def test_a_record_made_by_hand_is_only_itself():
    one, other = (
        granularity.Granularity("own()", 1, lambda s, m: (s, m), lambda p, m: p & m)
        for _ in range(2)
    )
    assert one == one and one != other
    with pytest.raises(ValueError, match="was made by hand and cannot be written down"):
        one.to_json()


@pytest.mark.parametrize(
    "call, message",
    [
        ({"bloks": {"width": 4}}, "No 'bloks' in granularity; .*blocks"),
        ({"blocks": {"size": 4}}, "blocks cannot be made of .*size"),
        ({"blocks": {"width": 0}}, "`width` is 0"),
        ("blocks(4)", "is no record"),
        ({}, "is no record"),
    ],
)
def test_what_no_call_is(call, message):
    with pytest.raises(ValueError, match=message):
        made.from_json(granularity, call)
