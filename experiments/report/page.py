"""One HTML file of a run, a study, or several side by side, that needs no network."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

from experiments.methods import DENSE
from experiments.pieces.store import Store
from experiments.report import figures, summary
from experiments.results import Result

# The colour of all text and axes in a drawing; the page puts its own in its place.
_INK = "#010203"
_CURVES = 6
_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
svg { width: 100%; height: auto; color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
pre { overflow-x: auto; font-size: .8rem; }
figure { margin: 1rem 0; } figcaption { font-size: .85rem; opacity: .8; }
"""


@dataclasses.dataclass(frozen=True)
class Section:
    """A run or a study on the page.

    Args:
        name: Its name, such as its folder's.
        asked: What is in its `run.json`, without the plan.
        results: Its `Result` records.
    """

    name: str
    asked: Mapping[str, Any]
    results: Sequence[Result]


def write(sections: Sequence[Section], store: Store, folder: pathlib.Path) -> pathlib.Path:
    """Write the page, its figures as PNG and PDF, and its tables as CSV.

    Args:
        sections: What is on the page; several are also compared.
        store: Where the pieces are.
        folder: The folder to write to.

    Returns:
        The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_together(sections, folder)] if len(sections) > 1 else []
    parts += [_section(section, store, folder) for section in sections]
    title = html.escape(", ".join(section.name for section in sections))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _together(sections: Sequence[Section], folder: pathlib.Path) -> str:
    """All variants of all sections in one figure; a dense network that they share is one."""
    shared = {frozenset(r.piece for r in s.results if r.variant == DENSE) for s in sections}
    results = [
        dataclasses.replace(result, variant=f"{section.name}: {result.variant}")
        if result.variant != DENSE
        else result
        for section in sections
        for result in section.results
        if result.variant != DENSE or len(shared) == 1 or section is sections[0]
    ]
    note = (
        ""
        if len(shared) == 1
        else f" The dense network is that of {sections[0].name}; the others have another one."
    )
    drawn = _draw("together", folder, figures.accuracy, results, "Side by side")
    return f"<h1>Side by side</h1>{_figure(drawn, _BAND + note)}"


_BAND = "Lines are means over the seeds; bands go from the lowest to the highest seed."


def _section(section: Section, store: Store, folder: pathlib.Path) -> str:
    results, name = section.results, re.sub(r"\W+", "_", section.name)
    title = _title(section)
    parts = [f"<h1>{html.escape(section.name)}</h1><p>{html.escape(title)}</p>"]

    def add(heading: str, kind: str, draw: Any, *arguments: Any, caption: str = "") -> None:
        drawn = _draw(f"{name}_{kind}", folder, draw, *arguments)
        parts.append(f"<h2>{heading}</h2>{_figure(drawn, caption)}")

    dense_only = not summary.variants(results)
    if not dense_only:
        add("Accuracy", "accuracy", figures.accuracy, results, title, caption=_BAND)
        later = "An encircled point has its lowest loss at the last evaluation: not yet reached."
        add("Early stopping", "stopping", figures.early_stopping, results, title, caption=later)
    curves = _curves(results, store)
    add("Learning curves", "curves", figures.learning_curves, curves, title, caption="Means.")
    if not dense_only:
        variant = summary.variants(results)[0]
        add(f"Kernels of {variant}", "layers", figures.layers, results, variant, title)
        masks = _first_masks(results, variant, store)
        caption = "Live weights of each input or position, as a share."
        add(
            f"First layer of {variant}",
            "first_layer",
            figures.first_layer,
            masks,
            title,
            caption=caption,
        )
    parts.append(_table(results, folder / f"{name}_table.csv"))
    parts.append(_cost(results, store))
    asked = html.escape(json.dumps(section.asked, indent=1))
    parts.append(f"<h2>Settings</h2><pre>{asked}</pre>")
    return "".join(parts)


def _title(section: Section) -> str:
    """What was run: criterion, method, scope and rewind stand in it."""
    settings = section.asked.get("settings")
    if settings is None:
        grid = section.asked.get("study", {}).get("grid", {})
        return "a study over " + ", ".join(grid) if grid else "a study"
    recipe, training = settings["recipe"], settings["training"]
    return (
        f"{training['network']} on {settings['images']['name']}, {settings['method']}, "
        f"{recipe['criterion']} {recipe['scope']}, rewind {settings['rewind']}, "
        f"{training['iterations']:,} iterations a round, "
        f"{len(settings['seeds'])} seed{'s' if len(settings['seeds']) > 1 else ''}"
    )


def _draw(name: str, folder: pathlib.Path, draw: Any, *arguments: Any) -> str:
    """Save a figure as PNG and PDF, and return it as SVG in the page's own colour."""
    figure = draw(*arguments, folder / f"{name}.png")
    figure.savefig(folder / f"{name}.pdf")
    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    with matplotlib.rc_context({**dict.fromkeys(ink, _INK), "svg.hashsalt": name}):
        figure = draw(*arguments, folder / f"{name}.png")
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    draw(*arguments, folder / f"{name}.png")
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor").replace("#000000", "currentColor")
    # The same names in two drawings of a page would be one.
    names = set(re.findall(r'id="([^"]+)"', svg))
    for one in sorted(names, key=len, reverse=True):
        for before, after in (('id="', '"'), ('href="#', '"'), ("url(#", ")")):
            svg = svg.replace(f"{before}{one}{after}", f"{before}{name}-{one}{after}")
    return svg


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _curves(results: Sequence[Result], store: Store) -> dict[str, tuple[list, list]]:
    """The mean curve of the dense network and of a few rounds of the first variant."""
    names = summary.variants(results)[:1]
    chosen = {(DENSE, 0)}
    for name in names:
        rounds = sorted({r.index for r in results if r.variant == name})
        picked = np.linspace(0, len(rounds) - 1, min(len(rounds), _CURVES)).round().astype(int)
        chosen |= {(name, rounds[i]) for i in picked}
    curves = {}
    for variant, index in sorted(chosen, key=lambda one: (one[0] != DENSE, one[1])):
        members = [r for r in results if (r.variant, r.index) == (variant, index)]
        read = [_curve(store, member.piece) for member in members]
        shortest = min(len(curve) for curve in read)
        together = np.array([curve[-shortest:] for curve in read])
        left = summary.percent(np.mean([member.remaining for member in members]))
        label = DENSE if variant == DENSE else f"{left} % left"
        curves[label] = together[0, :, 0].tolist(), together[:, :, 2].mean(0).tolist()
    return curves


def _curve(store: Store, name: str) -> list[list[float]]:
    with open(store.folder / name / "curve.csv", newline="") as file:
        return [[float(value) for value in line] for line in list(csv.reader(file))[1:]]


def _first_masks(results: Sequence[Result], variant: str, store: Store) -> dict[str, np.ndarray]:
    own = sorted((r for r in results if r.variant == variant), key=lambda r: r.index)
    own = [r for r in own if r.seed == own[0].seed]
    picked = np.linspace(0, len(own) - 1, min(len(own), 3)).round().astype(int)
    masks = {}
    for result in (own[i] for i in picked):
        first = next(iter(store.load(result.piece).ticket().masks.values()))
        masks[f"{summary.percent(result.remaining)} % left, seed {result.seed}"] = first
    return masks


def _table(results: Sequence[Result], path: pathlib.Path) -> str:
    """Mean and spread of each round; also as CSV."""
    header = ["variant", "round", "weights left, %", "n", "test, %", "from", "to", "stops at"]
    rows = []
    for variant in [DENSE, *summary.variants(results)]:
        stops = {p.index: p for p in summary.points(results, variant, "early_stopping_iteration")}
        for point in summary.points(results, variant, "test_accuracy"):
            stop = stops.get(point.index)
            rows.append(
                [
                    variant,
                    point.index,
                    summary.percent(point.remaining),
                    point.count,
                    *(f"{100 * value:.2f}" for value in (point.mean, point.low, point.high)),
                    "" if stop is None else ("" if stop.reached else "≥ ") + f"{stop.mean:,.0f}",
                ]
            )
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(str(value))}</td>' for value in row)}</tr>"
        for row in rows
    )
    return (
        "<h2>Table</h2><p>Means over the n seeds, and from the lowest to the highest: test "
        "accuracy after the last iteration; the iteration of the lowest validation loss.</p>"
        f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
    )


def _cost(results: Sequence[Result], store: Store) -> str:
    """Steps, seconds, what sharing saved, and the versions."""
    pieces = {result.piece: result.measures for result in results}
    seconds = sum(measures.get("seconds", 0) for measures in pieces.values())
    steps = sum(measures.get("iterations", 0) for measures in pieces.values())
    shared = len(results) - len(pieces)
    made = [store.look(name).description["versions"] for name in pieces]
    versions = sorted({", ".join(f"{k} {v}" for k, v in one.items()) for one in made})
    lines = "".join(f"<li>{html.escape(one)}</li>" for one in versions)
    return (
        f"<h2>Cost</h2><p>{len(pieces)} networks, {steps:,} training steps, {seconds:,.0f} seconds "
        f"of training; {shared} of the {len(results)} points are networks that another point has "
        f"too.</p><h2>Versions</h2><ul>{lines}</ul>"
    )
