"""The scripts as a user runs them: on tiny files, and with wrong flags."""

import json
import re
import sys
import zipfile

import keras
import numpy as np
import pytest

import keras_lottery as kl
from experiments import datasets, networks
from export import export_ticket, stock


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
    assert "4096 of 4096 pruned weights have changed" in code
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


def rewritten(model, path, change):
    """Saves a model as a `.keras` file whose configuration is changed."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["config.json"] = change(content["config.json"].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_a_model_that_unpacks_to_more_than_its_bound_is_refused_unread(run, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "M.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(2**27))
    monkeypatch.setattr(keras.saving, "load_model", lambda path: pytest.fail("it is read"))
    code, _, _ = run(
        "export_ticket", f"--model={tmp_path / 'M.keras'}", f"--output={tmp_path / 'F.tflite'}"
    )
    assert re.search(r"unpacks to 134,217,728 bytes; at most \d+,\d+,\d+ are read", code)
    assert "\n" not in code


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "[" * 100_000 + "]" * 100_000, "nests what it describes too deeply"),
        (lambda text: text.replace('"units": 3', '"units": 3000000000000000'), "memory|read"),
        (lambda text: text.replace('"units": 3', '"units": 3000000000000'), "memory|read"),
        (lambda text: text.replace('"layers"', '"players"'), "M.keras"),
        (lambda text: "{", "Expecting"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(run, tmp_path, change, message):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    rewritten(model, tmp_path / "M.keras", change)
    code, _, _ = run(
        "export_ticket", f"--model={tmp_path / 'M.keras'}", f"--output={tmp_path / 'F.tflite'}"
    )
    assert re.search(message, code)
    assert "\n" not in code
    assert not (tmp_path / "F.tflite").exists()


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


def test_benchmark_of_images_of_ones_own(run, folder, tmp_path):
    digits = datasets.load("digits", limit=20)
    np.save(tmp_path / "x.npy", digits.x_test)
    np.save(tmp_path / "y.npy", digits.y_test)
    arguments = ["--seconds=0.05", "--runtimes=XNNPACK", folder / "dense.tflite"]
    ours = run("benchmark_tflite", f"--images={tmp_path}", *arguments)
    theirs = run("benchmark_tflite", "--dataset=digits", "--examples=20", *arguments)
    assert ours[0] == theirs[0] == 0
    assert ours[1].split()[-1] == theirs[1].split()[-1]
    code, _, _ = run("benchmark_tflite", f"--images={tmp_path}", "--dataset=digits", *arguments)
    assert "--dataset has no use beside it" in code


def test_benchmark_has_no_use_for_examples_of_no_data_set(run, folder):
    code, _, _ = run("benchmark_tflite", "--examples=20", folder / "dense.tflite")
    assert "--examples is for --dataset" in code


@pytest.mark.parametrize("script", ["inspect_tflite", "benchmark_tflite"])
def test_a_script_without_files_asks_for_one(run, script):
    code, _, _ = run(script)
    assert "one .tflite file or more" in code
