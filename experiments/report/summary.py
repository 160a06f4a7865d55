"""Summarises a run over its seeds: points to draw, a table to read, sentences to quote."""

import dataclasses
import statistics

from rich import box
from rich.table import Table

from experiments.methods import DENSE


@dataclasses.dataclass(frozen=True)
class Point:
    """One round of one variant: the mean over the seeds, and the band from `low` to `high`.

    Args:
        index: The round.
        remaining: The mean fraction of weights that is alive.
        mean: The mean over the seeds.
        low: The lowest of them.
        high: The highest of them.
        reached: False of an early-stopping iteration that is the last evaluation of a seed: the
            minimum may come later.
        count: The number of seeds.
    """

    index: int
    remaining: float
    mean: float
    low: float
    high: float
    reached: bool = True
    count: int = 1


def variants(results):
    """Return the names of the variants beside the dense network, in order of appearance."""
    return list(dict.fromkeys(r.variant for r in results if r.variant != DENSE))


def points(results, variant, quantity):
    """Return the points of a variant, from the densest to the sparsest.

    Args:
        results: `Result` records of one run.
        variant: One of `variants(results)`, or `DENSE`.
        quantity: The name of a measure that is a number. Networks without it are left out.
    """
    rounds = {}
    for result in results:
        if result.variant == variant and result.measures.get(quantity) is not None:
            rounds.setdefault(result.index, []).append(result)
    return [_point(index, members, quantity) for index, members in sorted(rounds.items())]


def smallest_within(results, variant, tolerance):
    """Return the sparsest point whose validation accuracy is within `tolerance` of dense.

    Validation decides, so that the test accuracy that is quoted beside it stays an honest estimate.
    The result is `None` if no round is within the tolerance.
    """
    [dense] = points(results, DENSE, "validation_accuracy")
    near = [
        point
        for point in points(results, variant, "validation_accuracy")
        # Both are means of a few fractions: a difference of exactly the tolerance counts.
        if point.mean >= dense.mean - tolerance - 1e-9
    ]
    return min(near, key=lambda point: point.remaining, default=None)


def table(results, quantities):
    """Return a table of means over the seeds: rounds are rows, quantities of variants columns.

    Args:
        results: `Result` records of one run.
        quantities: Names out of `COLUMNS`.
    """
    rendered = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    rendered.add_column("round", justify="right")
    rendered.add_column("weights\nleft, %", justify="right")
    left, dense, columns = {}, [], []
    for quantity in quantities:
        heading, written = COLUMNS[quantity]
        [reference] = points(results, DENSE, quantity)

        def cell(point, written=written):
            return ("" if point.reached else "≥ ") + written(point.mean)

        for name in variants(results):
            series = points(results, name, quantity)
            left |= {point.index: percent(point.remaining) for point in series}
            dense.append(cell(reference))
            columns.append({point.index: cell(point) for point in series})
            rendered.add_column(
                name.replace("_", "\n") + f"\n{heading}", justify="right", overflow="fold"
            )
    rendered.add_row(DENSE, "100", *dense, end_section=True)
    for index in sorted(left):
        rendered.add_row(str(index), left[index], *(column.get(index, "") for column in columns))
    return rendered


def findings(results, variant, tolerance):
    """Return sentences that say what the run found.

    Args:
        results: `Result` records of one run, its dense networks among them.
        variant: The variant to speak of; the others are compared with it.
        tolerance: Difference in accuracy that counts as none, a fraction.
    """
    [dense] = points(results, DENSE, "test_accuracy")
    sentences = [f"The dense network reaches {_exact(dense.mean)} % on the test examples."]
    if variant not in variants(results):
        return sentences
    smallest = smallest_within(results, variant, tolerance)
    if smallest is None:
        return [*sentences, f"No {variant} is {_within(tolerance)}.", _fastest(results, variant)]
    accuracy = _by_index(points(results, variant, "test_accuracy"))[smallest.index]
    sentences.append(
        f"The smallest {variant} {_within(tolerance)} keeps {percent(smallest.remaining)} % "
        f"of the weights, and reaches {_exact(accuracy.mean)} % on the test examples."
    )
    for other in variants(results):
        same = _by_index(points(results, other, "test_accuracy")).get(smallest.index)
        if other != variant and same is not None:
            sentences.append(f"{other} at that size: {_difference(same.mean, accuracy.mean)}.")
    return [*sentences, _fastest(results, variant)]


def comparison(results):
    """Return sentences that compare all variants in the last round, the most accurate first."""
    [dense] = points(results, DENSE, "test_accuracy")
    last = [points(results, name, "test_accuracy")[-1] for name in variants(results)]
    ranked = sorted(
        zip(variants(results), last, strict=True), key=lambda pair: pair[1].mean, reverse=True
    )
    return [
        f"The dense network reaches {_exact(dense.mean)} % on the test examples.",
        *(
            f"{name} keeps {percent(point.remaining)} % of the weights and reaches "
            f"{_difference(point.mean, dense.mean)}{_band(point)}."
            for name, point in ranked
        ),
    ]


def percent(fraction):
    """Format a fraction as a percentage with one decimal, or two digits below one percent.

    >>> percent(0.98249), percent(0.03583), percent(0.00497)
    ('98.2', '3.6', '0.5')
    """
    value = 100 * fraction
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _exact(accuracy):
    return f"{100 * accuracy:.2f}"


def _band(point):
    return f" (from {_exact(point.low)} to {_exact(point.high)})" if point.low < point.high else ""


def _within(tolerance):
    return f"within {100 * tolerance:.2g} points of dense on the validation examples"


def _fastest(results, variant):
    [dense] = points(results, DENSE, "early_stopping_iteration")
    fastest = min(
        points(results, variant, "early_stopping_iteration"), key=lambda point: point.mean
    )
    return (
        f"Minimum validation loss comes at iteration {dense.mean:,.0f} in the dense network; "
        f"soonest, at {fastest.mean:,.0f} ({fastest.mean / dense.mean:.2f} times), in the "
        f"{variant} with {percent(fastest.remaining)} % of the weights."
    )


def _difference(accuracy, reference):
    apart = round(100 * (accuracy - reference), 2)
    return f"{_exact(accuracy)} %, {abs(apart):.2f} points {'less' if apart < 0 else 'more'}"


def _point(index, members, quantity):
    values = [member.measures[quantity] for member in members]
    reached = quantity != "early_stopping_iteration" or all(
        member.measures[quantity] != member.measures.get("iterations") for member in members
    )
    return Point(
        index,
        statistics.fmean(member.remaining for member in members),
        statistics.fmean(values),
        min(values),
        max(values),
        reached,
        len(values),
    )


def _by_index(series):
    return {point.index: point for point in series}


# The columns that a table can have: the heading, and how a value is written.
COLUMNS = {
    "test_accuracy": ("test, %", _exact),
    "early_stopping_iteration": ("stops at", "{:,.0f}".format),
}
