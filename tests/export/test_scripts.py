"""The scripts as a user runs them: on tiny files, and with wrong flags."""

import json
import re

import numpy as np
import pytest

import keras_lottery as kl
from experiments import datasets, networks
from export import stock


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
    assert content["dense_size"]["raw"] > 2 * output.stat().st_size
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
    model.compile(network.PRESET.optimizer.make(1))
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
        (["--output=F.tflite", "--model=M", "--ticket=T"], "give either --model"),
        (["--output=F.tflite", "--ticket=T"], "--network"),
        (["--output=F.tflite", "--model=M", "--seed=0"], "--seed is for --ticket"),
        (
            ["--output=F.tflite", "--model=M", "--samples=9"],
            "--samples is for --dataset or",
        ),
        (["--output=F.tflite", "--model=M", "--examples=9"], "--examples is for --dataset"),
        (["--output=F.tflite", "--model=M", "--download"], "--download is for --dataset"),
        (["--output=F.tflite", "--model=M", "--dataset=digits", "--images=D"], "--images has no"),
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
        (["--target=int8", "--precision=float16"], "but target 'int8' always stores int8"),
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
    code, _, _ = run("benchmark_tflite", "--data_dir=D", *arguments)
    assert "--data_dir is for --dataset" in code


def test_benchmark_has_no_use_for_examples_of_no_data_set(run, folder):
    code, _, _ = run("benchmark_tflite", "--examples=20", folder / "dense.tflite")
    assert "--examples is for --images" in code


@pytest.mark.parametrize("script", ["inspect_tflite", "benchmark_tflite"])
def test_a_script_without_files_asks_for_one(run, script):
    code, _, err = run(script)
    assert code == 2
    assert "the following arguments are required: FILE.tflite" in err


def test_a_script_takes_options_only_by_their_whole_names(run):
    code, _, err = run("export_ticket", "--output=F.tflite", "--mod=M.keras", "M.keras")
    assert code == 2
    assert "unrecognized arguments: --mod=M.keras M.keras" in err
