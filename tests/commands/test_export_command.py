"""The command as a user runs it: on tiny models, foreign ones, and with wrong settings."""

import json
import re
import sys
import zipfile

import keras
import pytest

from keras_lottery.commands import export
from keras_lottery.exporters.tflite import targets
from keras_lottery.exporters.tflite.rewriting import forms


def test_a_model(run, folder):
    output = folder / "F.tflite"
    code, out, _ = run("export", f"--model={folder / 'M.keras'}", f"--output={output}")
    assert code == 0
    assert str(output) in out
    content = json.loads(output.with_suffix(".json").read_text())
    assert content["inspection"]["file_bytes"] == output.stat().st_size
    assert "## Weights" in output.with_suffix(".md").read_text()


def test_integers_are_calibrated_on_inputs_of_ones_own(run, folder):
    code, _, _ = run(
        "export",
        f"--model={folder / 'M.keras'}",
        f"--images={folder}",
        "--target=int8",
        "--compare=5",
        f"--output={folder / 'F.tflite'}",
    )
    assert code == 0
    assert "Of 20 samples 5 are compared" in (folder / "F.md").read_text()


def test_dead_units_are_removed_first(run, folder):
    output = folder / "S.tflite"
    code, _, _ = run("export", f"--model={folder / 'M.keras'}", f"--output={output}", "--shrink")
    assert code == 0
    assert json.loads(output.with_suffix(".json").read_text())["shrunk"]["units"]
    assert "## Dead units removed before" in output.with_suffix(".md").read_text()


@pytest.mark.parametrize("taken", ["F.tflite", "F.json", "F.md"])
def test_an_existing_file_is_kept(run, tmp_path, taken):
    (tmp_path / taken).write_bytes(b"mine")
    code, _, _ = run("export", "--model=M", f"--output={tmp_path / 'F.tflite'}")
    assert f"{taken} exists" in code
    assert (tmp_path / taken).read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == [taken]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=F.json"], "'F.json'; it must end in .tflite"),
        (["--output=nowhere/F.tflite"], "there is no folder nowhere"),
        (["--samples=9"], "--samples is for --images"),
        (["--compare=9"], "--compare is for --images"),
        (["--target=int8"], "--target=int8 needs --images"),
        (
            ["--target=int8", "--images=D", "--precision=float16"],
            "target 'int8' always stores int8",
        ),
        (["--target=auto", "--weigh=bytes"], "bytes=2,time=1"),
        (["--target=auto", "--weigh=bytes=-1"], "none negative"),
        (["--weigh=bytes=1"], "--weigh is for --target=auto"),
        (["--target=micro", "--images=D", "--measure"], "not in TensorFlow Lite Micro"),
        ([], "nowhere.keras"),
    ],
)
def test_wrong_settings_are_told_what_is_right(run, arguments, message):
    code, _, _ = run("export", "--model=nowhere.keras", "--output=F.tflite", *arguments)
    assert message in code
    assert "\n" not in code


def test_a_model_is_asked_for(run):
    code, _, err = run("export", "--output=F.tflite")
    assert code == 2
    assert "required: --model" in err


def test_the_choices_are_those_of_the_exporter():
    assert export._TARGETS == (*targets.BUILDERS, "auto")
    assert export._INTEGERS == targets.INTEGERS
    assert export._PRECISIONS == tuple(forms.PRECISIONS)


def test_what_auto_weighs():
    assert export.parse_weighing(None) is None
    assert export.parse_weighing("bytes=2,memory=0.5") == {"bytes": 2, "memory": 0.5}
    with pytest.raises(ValueError, match="bytes=2,time=1"):
        export.parse_weighing("bytes")


class Unknown(keras.layers.Layer):
    """A layer of the user's own, which the command has no code of."""


def test_a_model_of_a_class_that_keras_does_not_know(run, tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), Unknown()]).save(
        tmp_path / "M.keras"
    )
    # Loading looks the class up where it was defined.
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(sys.modules[__name__], "Unknown")
        code, _, _ = run(
            "export", f"--model={tmp_path / 'M.keras'}", f"--output={tmp_path / 'F.tflite'}"
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
        "export", f"--model={tmp_path / 'M.keras'}", f"--output={tmp_path / 'F.tflite'}"
    )
    assert re.search(r"unpacks to 134,217,728 bytes; at most \d+,\d+,\d+ are read", code)
    assert "\n" not in code


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "[" * 100_000 + "]" * 100_000, "nests what it describes too deeply"),
        (lambda text: text.replace('"units": 3', '"units": 3000000000000000'), "memory|read"),
        pytest.param(
            lambda text: text.replace('"units": 3', '"units": 3000000000000'),
            "memory|read",
            marks=pytest.mark.long,  # TensorFlow tries for ten seconds
        ),
        (lambda text: text.replace('"layers"', '"players"'), "M.keras"),
        (lambda text: "{", "Expecting"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(run, tmp_path, change, message):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    rewritten(model, tmp_path / "M.keras", change)
    code, _, _ = run(
        "export", f"--model={tmp_path / 'M.keras'}", f"--output={tmp_path / 'F.tflite'}"
    )
    assert re.search(message, code)
    assert "\n" not in code
    assert not (tmp_path / "F.tflite").exists()
