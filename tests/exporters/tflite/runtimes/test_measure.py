"""Measuring: every file and runtime gets numbers, or the reason why there are none."""

import pytest
import sample_files

from keras_lottery.exporters.tflite.runtimes import measure


@pytest.fixture
def file(tmp_path):
    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def test_sound_files_are_measured_in_both_runtimes(file):
    paths = [
        file("dense.tflite", sample_files.stock_file("float32", sparse=False)),
        file("sparse.tflite", sample_files.stock_file("float32")),
    ]
    found = measure.measure(paths, seconds=0.05)
    assert [(m.file, m.runtime) for m in found] == [
        ("dense.tflite", "XNNPACK"),
        ("sparse.tflite", "XNNPACK"),
        ("dense.tflite", "built-in kernels"),
        ("sparse.tflite", "built-in kernels"),
    ]
    for m in found:
        assert m.failure == ""
        assert 0 < m.low <= m.median <= m.high
        assert m.memory > 0
        assert m.load > 0


def test_the_memory_is_that_of_the_weights(file):
    # 4 MiB of weights, which XNNPACK holds twice; the sparse kernel's are a tenth, held once.
    network = {"inputs": 1024, "hidden": 1024, "block": 4, "sparsity": 0.9}
    paths = [
        file("dense.tflite", sample_files.stock_file("float32", sparse=False, **network)),
        file("sparse.tflite", sample_files.stock_file("float32", **network)),
    ]
    dense, sparse = measure.measure(paths, seconds=0.05, runtimes=["XNNPACK"])
    assert dense.memory > 8 * 2**20
    assert sparse.memory < dense.memory / 2


def test_a_file_that_fails_fails_alone(file):
    paths = [
        file("broken.tflite", b"not a model"),
        file("int8.tflite", sample_files.stock_file("int8")),
        file("sound.tflite", sample_files.stock_file("float32")),
    ]
    broken, int8, sound = measure.measure(paths, seconds=0.05, runtimes=["XNNPACK"])
    assert broken.failure
    assert "failed to prepare" in int8.failure
    assert int8.median is None
    assert sound.median > 0


def test_a_crash_while_files_are_timed_is_that_of_one(file, monkeypatch, tmp_path):
    crashing = tmp_path / "crashing.py"
    crashing.write_text(
        "import os, signal, sys\n"
        'print(\'{"memory": 1, "load": 1.0}\', flush=True)\n'
        "for count, line in enumerate(sys.stdin):\n"
        "    if sys.argv[2].endswith('a.tflite') and count:\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    print(0.5, flush=True)\n"
    )
    monkeypatch.setattr(measure.probe, "__file__", str(crashing))
    paths = [file("a.tflite", b""), file("b.tflite", b"")]
    crashed, sound = measure.measure(paths, seconds=0.05, runtimes=["XNNPACK"])
    assert crashed.failure == "crashes with signal 11"
    assert sound.median == 0.5


def test_a_file_that_never_ends_is_given_up(file, monkeypatch, tmp_path):
    loop = tmp_path / "loop.py"
    loop.write_text("while True: pass")
    monkeypatch.setattr(measure.probe, "__file__", str(loop))
    monkeypatch.setattr(measure, "_LIMIT", 1.0)
    path = file("a.tflite", b"")
    [found] = measure.measure([path], seconds=0.05, runtimes=["XNNPACK"])
    assert found.failure == "does not end within 1 seconds"
