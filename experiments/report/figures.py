"""Figures of a run: (results, title, path) -> the figure, saved to the path.

Lines are means over the seeds, bands go from the lowest to the highest.
"""

import itertools
import math
import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, PercentFormatter

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
    if any(not point.reached for point in _all_points(results, "early_stopping_iteration")):
        axes.annotate(
            "encircled: lowest at the last evaluation, so not yet reached",
            (0.01, 0.95),
            xycoords="axes fraction",
            fontsize="small",
        )
    figure.savefig(path, dpi=150)
    return figure


def _draw(results, quantity, title):
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_wrapped(title), loc="left", fontsize="medium")

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
        for point in series:
            if not point.reached:
                circle = {"marker": "o", "markersize": 9, "markerfacecolor": "none"}
                axes.plot(
                    [point.remaining], [point.mean], color=colour, label="_not reached", **circle
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
    # Five fit beside each other, but not the longest of each of two rows, nor long names.
    columns = len(names) + 1 if len(names) < 5 else 4
    columns = max(1, min(columns, 72 // max(map(len, ["dense", *names]))))
    figure.legend(loc="outside upper right", ncols=columns, frameon=False)
    return figure, axes


def learning_curves(curves, title, path):
    """Draw the validation accuracy over the iterations.

    Args:
        curves: By the network's name, its iterations and the mean accuracies over the seeds.
        title: The figure's title.
        path: The file.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_wrapped(title), loc="left", fontsize="medium")
    looks = itertools.cycle(itertools.product(_LINES, _COLOURS))
    for (name, curve), (line, colour) in zip(curves.items(), looks, strict=False):
        axes.plot(*curve, color=colour, linestyle=line, linewidth=1.2, label=name)
    axes.set_xlabel("Iteration")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("Validation accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    every = sorted(value for _, values in curves.values() for value in values)
    # The first evaluations would take the axis for themselves.
    axes.set_ylim(every[len(every) // 10] - 0.002, every[-1] + 0.002)
    _finish(figure, axes, len(curves))
    figure.savefig(path, dpi=150)
    return figure


def layers(results, variant, title, path):
    """Draw how many weights each kernel keeps, against those of all."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_wrapped(title), loc="left", fontsize="medium")
    own = [r for r in results if r.variant in (summary.DENSE, variant)]
    size = next(r.measures["alive_counts"] for r in own if r.measures["sparsity"] == 0)
    looks = itertools.cycle(itertools.product(_LINES, zip(_COLOURS, _MARKERS, strict=True)))
    for name, (line, (colour, marker)) in zip(size, looks, strict=False):
        kept = {}
        for result in own:
            part = result.measures["alive_counts"][name] / size[name]
            kept.setdefault(result.index, []).append((result.remaining, part))
        x, y = zip(*(np.mean(kept[index], axis=0) for index in sorted(kept)), strict=True)
        axes.plot(x, y, color=colour, linestyle=line, marker=marker, markersize=4, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("Weights of the kernel remaining")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    _weights_remaining(axes, sorted({r.remaining for r in own}, reverse=True))
    _finish(figure, axes, len(size))
    figure.savefig(path, dpi=150)
    return figure


def first_layer(masks, title, path):
    """Draw the masks of the first kernel, how many weights each input (or position) keeps.

    Args:
        masks: By the network's name, the mask of its first kernel: of a Dense layer on images, or
            of a convolution.
        title: The figure's title.
        path: The file.
    """
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    figure.suptitle(_wrapped(title), x=0.01, ha="left", fontsize="medium")
    for position, (name, mask) in enumerate(masks.items(), start=1):
        axes = figure.add_subplot(1, len(masks), position)
        image = axes.imshow(_kept(mask), cmap="viridis", vmin=0)
        axes.set_title(name, fontsize="small")
        axes.set_axis_off()
        figure.colorbar(image, ax=axes, shrink=0.7, format=PercentFormatter(xmax=1, decimals=0))
    figure.savefig(path, dpi=150)
    return figure


def _kept(mask):
    """The share of live weights by pixel of the image, or by position of a convolution."""
    if mask.ndim == 4:
        return mask.mean((2, 3))
    kept = mask.mean(1)
    side = math.isqrt(kept.size)
    if side * side == kept.size:
        return kept.reshape(side, side)
    side = math.isqrt(kept.size // 3)
    if 3 * side * side == kept.size:
        return kept.reshape(side, side, 3).mean(2)
    return kept[np.newaxis]


def pareto(points, title, path):
    """Draw accuracy against bytes of trials, those that no other is better than filled.

    Args:
        points: `(bytes, accuracy, milliseconds, whether no other is better)` of each trial.
        title: The figure's title.
        path: The file.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_wrapped(title), loc="left", fontsize="medium")
    for size, right, milliseconds, best in points:
        face = _COLOURS[0] if best else "none"
        axes.plot(size, right, marker="o", color=_COLOURS[0], markerfacecolor=face)
        axes.annotate(
            f"{milliseconds:.2f} ms",
            (size, right),
            fontsize="x-small",
            xytext=(4, 4),
            textcoords="offset points",
        )
    axes.set_xlabel("Bytes of the file")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("Validation accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    return figure


def _wrapped(title):
    return "\n".join(textwrap.wrap(title, 78))


def _all_points(results, quantity):
    names = [summary.DENSE, *summary.variants(results)]
    return [point for name in names for point in summary.points(results, name, quantity)]


def _finish(figure, axes, count):
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=min(count, 4), frameon=False, fontsize="small")


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
