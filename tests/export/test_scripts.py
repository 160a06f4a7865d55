"""The scripts as a user runs them: on tiny files, and with wrong flags."""

import json
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from absl import flags

import keras_lottery as kl
from experiments import datasets, networks
from export import compare_granularities, export_ticket, size_table, speed_table, stock
from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.runtimes import measure


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script of `export/` as `python -m` does: its exit code, output and errors."""

    def script(name, *arguments):
        known = set(flags.FLAGS)
        # Tests of other scripts in this process may have defined flags of the same name.
        defined_in = {flag: flags.FLAGS.find_module_defining_flag(flag) for flag in known}
        others = {
            flag: flags.FLAGS[flag]
            for flag, module in defined_in.items()
            if module.startswith("experiments")
        }
        key_flags = {m: list(each) for m, each in flags.FLAGS.key_flags_by_module_dict().items()}
        for flag in others:
            delattr(flags.FLAGS, flag)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        # runpy warns of what the tests have imported themselves.
        monkeypatch.delitem(sys.modules, f"export.{name}", raising=False)
        flags.FLAGS.unparse_flags()
        try:
            runpy.run_module(f"export.{name}", run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            for flag in set(flags.FLAGS) - (known - set(others)):
                delattr(flags.FLAGS, flag)
            for flag, definition in others.items():
                flags.DEFINE_flag(definition, module_name=defined_in[flag])
            for module, adopted in key_flags.items():
                for definition in adopted:
                    if definition.name in others:
                        flags.FLAGS.register_key_flag_for_module(module, definition)
            flags.FLAGS.unparse_flags()
        said = capsys.readouterr()
        return code, said.out, said.err

    return script


@pytest.fixture(scope="module")
def model():
    """A pruned network for the digits."""
    model = networks.get("digits_mlp").build((8, 8, 1), classes=10)
    kl.Lottery(model).prune(0.9)
    return kl.strip(model)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The network as M.keras, as a sound dense.tflite, and as TensorFlow's broken int8.tflite."""
    folder = tmp_path_factory.mktemp("files")
    model.save(folder / "M.keras")
    samples = datasets.load("digits").x_test[:8]
    (folder / "dense.tflite").write_bytes(stock.convert(model, "float32", sparse=False))
    (folder / "int8.tflite").write_bytes(stock.convert(model, "int8", samples))
    return folder


def test_export_a_model(run, folder, tmp_path):
    output = tmp_path / "F.tflite"
    code, out, _ = run(
        "export_ticket", f"--model={folder / 'M.keras'}", "--dataset=digits", f"--output={output}"
    )
    assert code == 0
    assert str(output) in out
    content = json.loads(output.with_suffix(".json").read_text())
    assert content["inspection"]["file_bytes"] == output.stat().st_size
    assert content["dense"]["raw"] > 2 * output.stat().st_size
    assert "## Weights" in output.with_suffix(".md").read_text()


@pytest.mark.parametrize("taken", ["F.tflite", "F.json", "F.md"])
def test_an_existing_file_is_kept(run, folder, tmp_path, taken):
    (tmp_path / taken).write_bytes(b"mine")
    code, _, _ = run(
        "export_ticket", f"--model={folder / 'M.keras'}", f"--output={tmp_path / 'F.tflite'}"
    )
    assert f"{taken} exists" in code
    assert (tmp_path / taken).read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == [taken]


def test_export_a_ticket(run, tmp_path):
    model = networks.get("digits_mlp").build((8, 8, 1), classes=10)
    lottery = kl.Lottery(model)
    lottery.save_rewind_point()
    lottery.prune(0.5)
    kl.Ticket.of(lottery).save(tmp_path / "T")
    code, _, _ = run(
        "export_ticket",
        f"--ticket={tmp_path / 'T'}",
        "--network=digits_mlp",
        "--dataset=digits",
        "--examples=100",
        "--epochs=1",
        f"--output={tmp_path / 'F.tflite'}",
    )
    assert code == 0
    content = json.loads((tmp_path / "F.json").read_text())
    assert content["inspection"]["sparsity"] == pytest.approx(0.5, abs=0.01)


def test_weights_that_violate_a_tickets_masks_are_refused_on_one_line(run, tmp_path):
    network = networks.get("digits_mlp")
    model = network.build((8, 8, 1), classes=10)
    model.compile(network.PRESET.optimizer(1))
    model.optimizer.build(model.trainable_variables)
    model.save_weights(tmp_path / "dense.weights.h5")
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    kl.Ticket.of(lottery).save(tmp_path / "T")
    code, _, _ = run(
        "export_ticket",
        f"--ticket={tmp_path / 'T'}",
        f"--weights={tmp_path / 'dense.weights.h5'}",
        "--network=digits_mlp",
        "--dataset=digits",
        f"--output={tmp_path / 'F.tflite'}",
    )
    assert "pruned weights are not where they are held" in code
    assert "\n" not in code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=F.json", "--model=M"], "'F.json'; it must end in .tflite"),
        (["--output=F.tflite", "--model=M", "--epochs=3"], "--epochs is for --ticket"),
        (["--output=F.tflite", "--model=M", "--network=lenet"], "--network is for --ticket"),
        (["--output=F.tflite"], "--model=M.keras or --ticket=T"),
        (["--output=F.tflite", "--model=M", "--ticket=T"], "one of them"),
        (["--output=F.tflite", "--ticket=T"], "--network"),
        (["--output=F.tflite", "M.keras"], "every setting is a flag"),
        (["--output=F.tflite", "--model=M", "--seed=0"], "--seed is for --ticket"),
        (["--output=F.tflite", "--model=M", "--samples=9"], "--samples is for --dataset"),
        (["--output=F.tflite", "--model=M", "--examples=9"], "--examples is for --dataset"),
        (["--output=F.tflite", "--model=nowhere.keras"], "nowhere.keras"),
        (
            ["--output=F.tflite", "--ticket=T", "--network=lenet", "--dataset=digits"],
            "there are .*lenet_300_100",
        ),
    ],
)
def test_wrong_settings_are_told_what_is_right(run, arguments, message):
    code, _, _ = run("export_ticket", *arguments)
    assert re.search(message, code)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=nowhere/F.tflite"], "there is no folder nowhere"),
        (["--target=int8", "--precision=float16"], "'int8' stores int8, not 'float16'"),
        (["--target=auto", "--weigh=bytes"], "bytes=2,time=1"),
        (["--target=auto", "--weigh=bytes=-1"], "none negative"),
        (["--target=auto", "--weigh=colour=1"], "bytes, time, memory"),
        (["--weigh=bytes=1"], "--weigh is for --target=auto"),
        (["--target=micro", "--measure"], "not in TensorFlow Lite Micro"),
    ],
)
def test_wrong_settings_are_found_before_a_ticket_is_trained(run, monkeypatch, arguments, message):
    def load(*settings):
        raise AssertionError("the data set is loaded")

    monkeypatch.setattr(datasets, "load", load)
    code, _, _ = run(
        "export_ticket",
        "--output=F.tflite",
        "--ticket=T",
        "--network=digits_mlp",
        "--dataset=digits",
        *arguments,
    )
    assert message in code
    assert "\n" not in code


@pytest.mark.parametrize("target", ["int8", "micro"])
def test_integers_need_a_data_set_that_the_script_asks_for_by_its_flag(run, folder, target):
    code, _, _ = run(
        "export_ticket",
        f"--model={folder / 'M.keras'}",
        f"--target={target}",
        f"--output={folder / 'integers.tflite'}",
    )
    assert f"--target={target} needs --dataset" in code


class Unknown(keras.layers.Layer):
    """A layer of the user's own, which the script has no code of."""


def test_a_model_of_a_class_that_keras_does_not_know(run, tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), Unknown()]).save(
        tmp_path / "M.keras"
    )
    # Loading looks the class up where it was defined.
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(sys.modules[__name__], "Unknown")
        code, _, _ = run(
            "export_ticket", f"--model={tmp_path / 'M.keras'}", f"--output={tmp_path / 'F.tflite'}"
        )
    assert "M.keras has a class that is not Keras's own" in code
    assert "'Unknown'" in code
    assert "\n" not in code


def test_what_auto_weighs():
    assert export_ticket.weights_of(None) is None
    assert export_ticket.weights_of(["bytes=2", "memory=0.5"]) == {"bytes": 2, "memory": 0.5}
    with pytest.raises(ValueError, match="bytes=2,time=1"):
        export_ticket.weights_of(["bytes"])


def test_inspect(run, folder):
    code, out, _ = run("inspect_tflite", folder / "dense.tflite")
    assert code == 0
    assert "stored and computed densely" in out


def test_inspect_finds_defects_and_damage(run, folder):
    damaged = folder / "damaged.tflite"
    damaged.write_bytes((folder / "dense.tflite").read_bytes()[:1000])
    code, out, err = run("inspect_tflite", "--format=json", damaged, folder / "int8.tflite")
    assert code == 1
    assert {d["kind"] for d in json.loads(out)["inspection"]["defects"]} == {"refused by XNNPACK"}
    assert "damaged.tflite: Damaged" in err


def test_benchmark(run, folder):
    code, out, _ = run(
        "benchmark_tflite",
        "--seconds=0.05",
        "--runtimes=XNNPACK",
        "--dataset=digits",
        "--examples=20",
        folder / "dense.tflite",
        folder / "int8.tflite",
    )
    assert code == 0
    header, dense, int8 = out.strip().splitlines()
    assert header.startswith("file")
    assert "1.00x" in dense
    assert dense.rstrip().endswith("%")
    assert "failed to prepare" in int8


def test_benchmark_has_no_use_for_examples_of_no_data_set(run, folder):
    code, _, _ = run("benchmark_tflite", "--examples=20", folder / "dense.tflite")
    assert "--examples is for --dataset" in code


@pytest.mark.parametrize("script", ["inspect_tflite", "benchmark_tflite"])
def test_a_script_without_files_asks_for_one(run, script):
    code, _, _ = run(script)
    assert "one .tflite file or more" in code


def test_the_size_tables_stock_files_are_tried(model):
    samples = datasets.load("digits").x_test[:4]
    found = size_table.stock_files(model, samples, np.asarray(model(samples)))
    assert isinstance(found["float32"], bytes)
    assert "does not run" in found["int8"]


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


def test_granularities_are_compared(tmp_path):
    digits = datasets.load("digits", limit=200)
    experiment = compare_granularities.Experiment(
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


@pytest.mark.long
def test_tfmots_route_makes_a_file(model, tmp_path):
    data = size_table.tfmot_file(model)
    assert isinstance(data, bytes), data
    (tmp_path / "tfmot.tflite").write_bytes(data)
    [found] = measure.measure([tmp_path / "tfmot.tflite"], seconds=0.05, runtimes=["XNNPACK"])
    assert found.failure == ""
    tflite.export(model, tmp_path / "ours.tflite")
    assert (tmp_path / "ours.tflite").stat().st_size < len(data)
