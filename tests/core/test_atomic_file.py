"""A file appears whole, or stays as it was; what killed writers leave is removed."""

import os
import re
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
from sample_tickets import assert_same, golden_ticket

from keras_lottery.core import atomic_file
from keras_lottery.tickets.ticket import Ticket, TicketError

# Writes a file for ever, and says when it is in the middle of it.
STUCK = """
import os, sys, time
from keras_lottery.core import atomic_file
os.fsync = lambda handle: (print("in it", flush=True), time.sleep(600))
atomic_file.write(sys.argv[1], b"half")
"""


def temporaries(folder):
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_an_existing_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "a.ticket"
    path.write_bytes(b"old")
    path.chmod(mode)
    golden_ticket().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert_same(Ticket.load(path), golden_ticket())


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/a.ticket")
    for _ in range(2):  # where it points to nothing yet, and to a file
        golden_ticket().save(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert os.listdir(tmp_path / "there") == ["a.ticket"]
        assert_same(Ticket.load(tmp_path / "there" / "a.ticket"), golden_ticket())


def test_links_in_a_circle_are_refused_and_stay(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(TicketError, match="symbolic links"):
        golden_ticket().save(tmp_path / "a")
    assert (tmp_path / "a").is_symlink()


def test_what_is_no_file_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name, problem in {"fifo": "Not a regular file", "folder": "Is a directory"}.items():
        with pytest.raises(TicketError, match=f"{name}: cannot be written: {problem}"):
            golden_ticket().save(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["fifo", "folder"]


def test_a_file_that_is_memory_mapped_is_not_written_into(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(8))
    mapped = np.memmap(path, "uint8", "r")
    atomic_file.write(path, b"\1" * 8)
    assert not mapped.any()
    assert path.read_bytes() == b"\1" * 8


@pytest.mark.long
def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    path = tmp_path / "a (1).ticket"
    kept = [".a (1).ticket.tmp", ".b.ticket.01234567.tmp", ".a (1).ticket.0123456.tmp", "0.tmp"]
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    writers = [
        subprocess.Popen([sys.executable, "-c", STUCK, path], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == b"in it\n"
        both = set(temporaries(tmp_path)) - set(kept)
        assert len(both) == 2
        assert all(re.fullmatch(r"\.a \(1\)\.ticket\.[0-9a-f]{8}\.tmp", name) for name in both)
        writers[0].send_signal(signal.SIGKILL)
        writers[0].wait()
        assert set(temporaries(tmp_path)) == both | set(kept)
        atomic_file.write(path, b"whole")
        assert path.read_bytes() == b"whole"
        [alive] = set(temporaries(tmp_path)) - set(kept)  # its writer goes on
        assert alive in both
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    atomic_file.write(path, b"again")
    assert set(os.listdir(tmp_path)) == {path.name, *kept}


def test_a_writer_whose_file_was_taken_for_a_leftover_makes_another(tmp_path, monkeypatch):
    """Another process may look between the creation of the file and its lock."""
    flock, removed = atomic_file.fcntl.flock, []

    def late(file, operation):
        if not removed:
            removed.append(os.unlink(file.name))
        flock(file, operation)

    monkeypatch.setattr(atomic_file.fcntl, "flock", late)
    atomic_file.write(tmp_path / "a", b"whole")
    assert removed
    assert os.listdir(tmp_path) == ["a"]


def test_without_locks_files_are_written_and_leftovers_kept(tmp_path, monkeypatch):
    (tmp_path / ".a.01234567.tmp").write_bytes(b"")

    def refuse(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic_file.fcntl, "flock", refuse)
    atomic_file.write(tmp_path / "a", b"whole")
    assert sorted(os.listdir(tmp_path)) == [".a.01234567.tmp", "a"]
    monkeypatch.setattr(atomic_file, "fcntl", None)  # as on Windows
    atomic_file.write(tmp_path / "a", b"again")
    assert sorted(os.listdir(tmp_path)) == [".a.01234567.tmp", "a"]
    assert (tmp_path / "a").read_bytes() == b"again"
