"""Figures of a run: (results, title, path) -> the figure, saved to the path.

Lines are means over the seeds, bands go from the lowest to the highest.
"""

import itertools

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from experiments.report import summary

# Okabe and Ito's palette: told apart by colour-blind readers; the markers help in print.
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_MARKERS = ["o", "s", "^", "D", "v", "P"]
# More variants than colours have them again, with other lines; dashes are the dense network's.
_LINES = ["-", ":", "-."]


def accuracy(results, title, path):
    """Draw the test accuracy after training against the weights remaining."""
    figure, axes = _draw(results, "test_accuracy", title)
    axes.set_ylabel("Test accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    figure.savefig(path, dpi=150)
    return figure


def early_stopping(results, title, path):
    """Draw the iteration of minimum validation loss against the weights remaining."""
    figure, axes = _draw(results, "early_stopping_iteration", title)
    axes.set_ylabel("Early-stopping iteration")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=150)
    return figure


def _draw(results, quantity, title):
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize="medium")

    [dense] = summary.points(results, summary.DENSE, quantity)
    axes.axhline(dense.mean, color="black", linestyle="--", linewidth=1, label="dense")
    axes.axhspan(dense.low, dense.high, color="black", alpha=0.08, linewidth=0)

    names = summary.variants(results)
    remaining = {dense.remaining}
    looks = itertools.cycle(itertools.product(_LINES, zip(_COLOURS, _MARKERS, strict=True)))
    for name, (line, (colour, marker)) in zip(names, looks, strict=False):
        series = summary.points(results, name, quantity)
        x = [point.remaining for point in series]
        remaining.update(round(value, 4) for value in x)
        axes.plot(
            x,
            [point.mean for point in series],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=4,
            label=name.replace("_", " "),
        )
        axes.fill_between(
            x,
            [point.low for point in series],
            [point.high for point in series],
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    _weights_remaining(axes, sorted(remaining, reverse=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    # Five fit beside each other, but not the longest of each of two rows.
    columns = len(names) + 1 if len(names) < 5 else 4
    figure.legend(loc="outside upper right", ncols=columns, frameon=False)
    return figure, axes


def _weights_remaining(axes, values):
    """From 100 % on the left, a logarithmic axis whose ticks are the rounds that were run."""
    axes.set_xlabel("Weights remaining")
    axes.set_xscale("log")
    axes.set_xlim(values[0] * 1.05, values[-1] / 1.05)
    # At most eight labels, the first and the last round among them.
    chosen = np.linspace(0, len(values) - 1, min(len(values), 8)).round().astype(int)
    ticks = [values[index] for index in chosen]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{summary.percent(tick)}%" for tick in ticks])
