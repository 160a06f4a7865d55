"""What shrinking does to a model, for a person to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from keras_lottery.masks import listing
from keras_lottery.masks.shrink.plan import Plan
from keras_lottery.masks.shrink.step import Step


@dataclass(frozen=True)
class ShrinkReport:
    """What shrinking does to a model. Printed, it is a table.

    Attributes:
        units: For each layer that makes units (Dense, Conv1D to Conv3D), by name: how many it has,
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
    """Make the report on a plan for a model."""
    steps = plan.trace.steps
    sizes = [step.sizes(plan.keeps) for step in steps]
    total = sum(int(np.prod(weight.shape)) for weight in model.weights)
    gone = sum(before - after for cut in sizes for before, after in cut.values())
    new = sum(
        int(np.count_nonzero(plan.keeps(step.output.units)))
        for step in steps
        if step.reading is not None and step.reading.needs_bias(plan.keeps)
    )
    return ShrinkReport(
        units={
            step.layer.name: (len(step.output), int(plan.keeps(step.output.units).sum()))
            for step in steps
            if step.reading is not None
        },
        weights=(total, total - gone + new),
        multiplications=_multiplications(steps, plan),
        notes=tuple(_notes(plan)),
    )


def _multiplications(steps: list[Step], plan: Plan) -> tuple[int, int] | None:
    with_kernel = [step for step in steps if "kernel" in step.axes]
    if any(step.positions is None for step in with_kernel):
        return None
    pairs = [
        (step.positions or 0) * np.array(step.sizes(plan.keeps)["kernel"]) for step in with_kernel
    ]
    before, after = np.sum(pairs, axis=0, dtype=int) if pairs else (0, 0)
    return int(before), int(after)


def _notes(plan: Plan) -> Iterator[str]:
    for name, reason in plan.trace.left.items():
        yield f"{name!r} is left as it is, because {reason}."
    for step in plan.trace.steps:
        name = step.layer.name
        if step.whole and not any(step.output is output for output in plan.trace.outputs):
            yield f"The units that {name!r} gives all stay, because {step.whole}."
        staying = int(np.count_nonzero(plan.keeps(step.at_borders)))
        if staying:
            many = staying > 1
            yield (
                f"{staying} constant unit{'s stay' if many else ' stays'} before {name!r}, which "
                f"puts zeros around {'them' if many else 'it'}."
            )
    for name in plan.spared:
        yield f"{name!r} keeps one unit though none is needed: a layer has at least one."
