"""The scripts whose tables and figure the README has, on tiny networks."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import keras_lottery as kl
from experiments import datasets, networks
from export import compare_granularities, size_table, speed_table, stock
from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.runtimes import measure


def test_the_size_tables_stock_files_are_tried(model):
    samples = datasets.load("digits").x_test[:4]
    found = size_table.stock_files(model, samples, np.asarray(model(samples)))
    assert isinstance(found["float32"], bytes)
    assert "cannot run the file" in found["int8"]


@pytest.mark.long
def test_size_table(run):
    code, out, _ = run("size_table", "--networks=digits_mlp", "--notfmot", "--sparsity=0.9")
    assert code == 0
    header, *rows = [re.split(r"  +", line.strip()) for line in out.strip().splitlines()]
    assert header == ["network", "file", "bytes", "gzipped", "of dense"]
    assert [file for _, file, *_ in rows] == [
        "dense float32",
        *(f"TensorFlow, sparse {mode}" for mode in stock.SPARSE_MODES),
        *(f"keras_lottery, {precision}" for precision in ("float32", "float16", "int8")),
    ]
    stored = {
        file: int(cells[0].replace(",", "")) for _, file, *cells in rows if cells[0][0].isdigit()
    }
    marked = [file for _, file, *cells in rows if cells[-1].startswith("the smallest")]
    theirs = {file: size for file, size in stored.items() if file.startswith("TensorFlow")}
    assert marked == [min(theirs, key=theirs.get)]
    assert stored["keras_lottery, int8"] < min(theirs.values()) < stored["dense float32"]


@pytest.mark.long
def test_speed_table(monkeypatch, capsys):
    cases = [
        speed_table.Case(small_network, block=4, faster=1e-9),
        speed_table.Case(small_network, options={"precision": "int8"}, less=1e9),
    ]
    monkeypatch.setattr(speed_table, "CASES", cases)
    monkeypatch.setattr(speed_table, "FLAGS", SimpleNamespace(seconds=0.05))
    speed_table.main(["speed_table"])
    _, *rows = [re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows] == [
        ["small_network", "1x4", "dense.tflite"],
        ["small_network", "1x4", "sparse.tflite"],
        ["small_network", "1x1", "dense.tflite"],
        ["small_network", "1x1", "sparse.tflite"],
    ]
    sizes = [int(row[3].replace(",", "")) for row in rows]
    assert sizes[0] > sizes[1] > 0 and sizes[2] > sizes[3] > 0
    assert [row[6] for row in rows[::2]] == ["1.00 x", "1.00 x"]
    assert rows[1][-1] == "goal 1e-09 x faster: reached"
    assert rows[3][-1] == "goal 1e+09 x less memory: missed"


def small_network():
    return networks.get("digits_mlp").build((8, 8, 1), classes=10)


@pytest.mark.long
def test_granularities_are_compared(tmp_path):
    digits = datasets.load("digits", limit=200)
    experiment = compare_granularities.Settings(
        networks.get("digits_mlp"),
        digits,
        epochs=1,
        rounds=1,
        rate=0.9,
        precision="float32",
        seed=0,
    )
    seen = []
    points = compare_granularities.search(
        kl.granularity.blocks(4), experiment, tmp_path, seen.append
    )
    assert points == seen
    assert [point.granularity for point in points] == ["dense", "blocks(4)"]
    assert points[1].bytes < points[0].bytes / 2
    assert all(Path(tmp_path, name).exists() for p in points for name in p.files.values())
    timed = compare_granularities.timed(points, tmp_path, seconds=0.05)
    assert all(point.latency > 0 for point in timed)
    figure = compare_granularities.draw(timed, "digits", tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert [line.get_label() for line in figure.axes[0].lines] == ["dense", "blocks of 1x4"]


def test_a_figures_lines_go_up_and_right_only_and_points_tell_their_sparsity(tmp_path):
    points = [
        compare_granularities.ExportedNetwork(
            "weights()", r, zeros, accuracy, size, size, latency, {}
        )
        for r, zeros, accuracy, size, latency in [
            (1, 0.5, 0.95, 900, 3e-6),
            (2, 0.75, 0.93, 700, 5e-6),
            (3, 0.875, 0.94, 800, 4e-6),
        ]
    ]
    left, right = compare_granularities.draw(points, "digits", tmp_path / "figure.png").axes
    assert left.lines[0].get_ydata() == pytest.approx([93, 94, 95])
    assert right.lines[0].get_ydata() == pytest.approx([95])
    assert right.collections[0].get_offsets().tolist() == [[pytest.approx(4), 94], [5, 93]]
    for axes in (left, right):
        assert sorted(text.get_text() for text in axes.texts) == ["50 %", "75 %", "87.5 %"]


@pytest.mark.long
def test_tfmots_route_makes_a_file(model, tmp_path):
    data = size_table.tfmot_file(model)
    assert isinstance(data, bytes), data
    (tmp_path / "tfmot.tflite").write_bytes(data)
    [found] = measure.measure([tmp_path / "tfmot.tflite"], seconds=0.05, runtimes=["XNNPACK"])
    assert found.failure == ""
    tflite.export(model, tmp_path / "ours.tflite")
    assert (tmp_path / "ours.tflite").stat().st_size < len(data)
