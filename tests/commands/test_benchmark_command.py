import shutil

import pytest


def test_two_files_and_their_accuracy(run, folder):
    (folder / "damaged.tflite").write_bytes((folder / "dense.tflite").read_bytes()[:1000])
    code, out, _ = run(
        "benchmark",
        "--seconds=0.05",
        "--runtimes=XNNPACK",
        f"--images={folder}",
        "--examples=7",
        folder / "dense.tflite",
        folder / "damaged.tflite",
    )
    assert code == 0
    header, dense, damaged = out.strip().splitlines()
    assert header.startswith("file")
    assert "1.00x" in dense
    assert dense.rstrip().endswith("100.00%")
    assert damaged.startswith("damaged.tflite")


def test_files_of_which_none_runs(run, tmp_path):
    (tmp_path / "damaged.tflite").write_bytes(b"no file")
    code, _, _ = run("benchmark", "--seconds=0", tmp_path / "damaged.tflite")
    assert code == "keras-lottery benchmark: none of the files runs."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dense.tflite", "copy/dense.tflite"], "two files have the same name"),
        (["dense.tflite", "other.tflite"], "there is no file other.tflite"),
        (["dense.tflite", "--examples=3"], "--examples is for --images"),
        (["dense.tflite", "--images=nowhere"], "there is no folder nowhere"),
    ],
)
def test_wrong_settings_are_told_what_is_right(run, folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    (folder / "copy").mkdir()
    shutil.copy("dense.tflite", "copy")
    code, _, _ = run("benchmark", *arguments)
    assert message in code
