"""What shrinking does to a model, for a person to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from keras_lottery.masks import listing
from keras_lottery.masks.shrink.plan import Plan


@dataclass(frozen=True)
class ShrinkReport:
    """What shrinking does to a model. Printed, it is a table.

    Attributes:
        units: For each layer that makes units (Dense, convolutions), by name: how many it has,
            and how many of them stay.
        weights: The number of weights in all layers, before and afterwards.
        multiplications: The number of multiplications by kernels for one sample, before and
            afterwards, without those in layers that `shrink` does not know; `None` where an image
            has no fixed size.
        notes: What stays, and why: a sentence each.
    """

    units: dict[str, tuple[int, int]]
    weights: tuple[int, int]
    multiplications: tuple[int, int] | None
    notes: tuple[str, ...]

    def rows(self) -> dict[str, tuple[int, int]]:
        """All numbers before and afterwards, by what they count."""
        rows = {f"units of {name}": pair for name, pair in self.units.items()}
        rows["weights"] = self.weights
        if self.multiplications is not None:
            rows["multiplications"] = self.multiplications
        return rows

    def __str__(self) -> str:
        cells = [(name, f"{had:,}", f"{has:,}") for name, (had, has) in self.rows().items()]
        return "\n".join([*listing.aligned([("", "before", "after"), *cells], left=1), *self.notes])


def report_of(model: keras.Model, plan: Plan) -> ShrinkReport:
    """Make the report on a plan for a model; layers in a model inside it are `inner/layer`."""
    units: dict[str, tuple[int, int]] = {}
    notes: list[str] = []
    total = sum(int(np.prod(weight.shape)) for weight in model.weights)
    left, multiplications = total, np.zeros(2, int)
    sized = True
    for inside, times, level in _levels(plan):
        notes.extend(_notes(inside, level))
        for step in level.trace.steps:
            sizes = step.sizes(level.keeps)
            left -= sum(before - after for before, after in sizes.values())
            if step.reading is not None:
                staying = int(np.count_nonzero(level.keeps(step.output.units)))
                units[inside + step.layer.name] = (len(step.output), staying)
                left += staying * step.reading.needs_bias(level.keeps)
            kernels = [size for name, size in sizes.items() if name.endswith("kernel")]
            sized &= step.positions is not None or not kernels
            for size in kernels:
                multiplications += times * (step.positions or 0) * np.array(size)
    before, after = multiplications.tolist()
    return ShrinkReport(units, (total, left), (before, after) if sized else None, tuple(notes))


def _levels(plan: Plan, inside: str = "", times: int = 1) -> Iterator[tuple[str, int, Plan]]:
    """A plan and those of the models inside: where each is, how often it is called, the plan."""
    yield inside, times, plan
    for name, (_, calls, inner) in plan.nested.items():
        yield from _levels(inner, f"{inside}{name}/", times * calls)


def _notes(inside: str, plan: Plan) -> Iterator[str]:
    for name, reason in plan.trace.left.items():
        if name in plan.nested:
            yield f"The units that '{inside}{name}' takes and gives all stay, because {reason}."
        else:
            yield f"'{inside}{name}' is left as it is, because {reason}."
    for step in plan.trace.steps:
        name = inside + step.layer.name
        if step.whole and not any(step.output is output for output in plan.trace.outputs):
            yield f"The units that {name!r} gives all stay, because {step.whole}."
        staying = int(np.count_nonzero(plan.keeps(step.at_borders)))
        if staying:
            many = staying > 1
            yield (
                f"{staying} constant unit{'s stay' if many else ' stays'} before {name!r}, with "
                f"zeros around {'them' if many else 'it'}."
            )
    for name in plan.spared:
        yield f"'{inside}{name}' keeps one unit though none is needed: a layer has at least one."
