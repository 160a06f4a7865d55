import numpy as np

from experiments.pieces.checkpoint import Checkpoint

VALUES = {"value:fc1/kernel": np.arange(6.0, dtype=np.float32)}
MASKS = {"fc1/kernel": np.array([True, False])}


def write(checkpoint, epoch):
    checkpoint.write_if_due(lambda: ({}, VALUES, {"epoch": epoch}))


def test_the_newest_is_read(tmp_path):
    checkpoint = Checkpoint(tmp_path / "one", every=0)
    assert checkpoint.read() is None
    for epoch in (1, 2, 3):
        write(checkpoint, epoch)
    masks, arrays, numbers = checkpoint.read()
    assert (masks, numbers) == ({}, {"epoch": 3})
    assert np.array_equal(arrays["value:fc1/kernel"], VALUES["value:fc1/kernel"])
    assert len(list((tmp_path / "one").iterdir())) == 2


def test_a_damaged_one_is_passed_over(tmp_path):
    checkpoint = Checkpoint(tmp_path / "one", every=0)
    for epoch in (1, 2):
        write(checkpoint, epoch)
    newest = max((tmp_path / "one").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-1])
    assert checkpoint.read()[2] == {"epoch": 1}
    write(checkpoint, 3)


def test_none_is_written_before_its_time(tmp_path):
    checkpoint = Checkpoint(tmp_path / "one", every=3600)
    write(checkpoint, 1)
    assert checkpoint.read() is None


def test_removed_there_is_nothing(tmp_path):
    checkpoint = Checkpoint(tmp_path / "one", every=0)
    write(checkpoint, 1)
    checkpoint.remove()
    assert checkpoint.read() is None
    assert list(tmp_path.iterdir()) == []
