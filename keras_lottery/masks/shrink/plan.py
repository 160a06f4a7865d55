"""`plan(model)`: which units of a model stay."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_lottery.masks.shrink.step import Step
from keras_lottery.masks.shrink.trace import Trace, trace
from keras_lottery.masks.shrink.units import Kept
from keras_lottery.model import keras_internals


@dataclass(frozen=True, eq=False)
class Plan:
    """What shrinking does to a model.

    Args:
        trace: What is known of the model's calls.
        keeps: Which units stay.
        spared: The layers that keep a unit although none is needed, since a layer has at least one.
        nested: For each model inside the model, by name: the model, how often it is called, and its
            own plan.
    """

    trace: Trace
    keeps: Kept
    spared: list[str]
    nested: dict[str, tuple[keras.Model, int, Plan]]


def plan(model: keras.Model) -> Plan:
    """Find the units of a model that can be removed.

    A unit stays if an output of the model needs it: directly, or because a unit that stays reads it
    by a weight that is not zero and it is not constant.

    Args:
        model: A built Sequential or functional model.

    Raises:
        ValueError: If the model has no graph of layers; or no unit of some layer is needed, and the
            outputs are the same for every input.
    """
    if not isinstance(model, keras.Model) or keras_internals.graph_of(model) is None:
        raise ValueError(
            f"`model` must be a built keras.Sequential or a functional model, whose layers Keras "
            f"knows the order of; received {model!r}."
        )
    planned = _planned(trace(model))
    if planned.spared and planned.trace.is_constant:
        names = ", ".join(map(repr, planned.spared))
        raise ValueError(
            f"No unit of {names} is alive, so that `model` {model.name!r} has the same outputs for "
            "every input: too much of it is pruned."
        )
    return planned


def _planned(found: Trace) -> Plan:
    """The plan for a model or one inside a model, which may answer the same to everything."""
    nested = {
        name: (model, times, _planned(trace(model)))
        for name, (model, times) in found.nested.items()
    }
    keeps, spared = found.units.kept_by_pins(), list[str]()
    readings = [step for step in reversed(found.steps) if step.reading is not None]
    while True:
        _keep_what_is_needed(keeps, readings)
        empty = [step for step in readings if not keeps(step.output.units).any()]
        if not empty:
            return Plan(found, keeps, spared[::-1], nested)
        for step in empty:
            # Keeping a constant one does not keep others before it.
            keeps.add(step.output.units[[int(np.argmax(step.output.is_constant))]])
            spared.append(step.layer.name)


def _keep_what_is_needed(keeps: Kept, readings: list[Step]) -> None:
    """Keep all units that those which stay cannot do without."""
    before = -1
    while keeps.count() != before:
        before = keeps.count()
        for step in readings:
            assert step.reading is not None
            keeps.add(step.reading.needed(keeps))
