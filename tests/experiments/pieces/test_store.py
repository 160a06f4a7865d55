import json
import os

import pytest
import sample_plans

from experiments.pieces.store import FILES, PieceError, Store

PIECE = sample_plans.small().networks[0].piece
CONTENT = {
    "piece.json": json.dumps({"parents": {}, "versions": {}}).encode(),
    "measures.json": b'{"test_accuracy": 0.5, "a new one": "anything"}',
    "curve.csv": b"iteration\n",
    "ticket": b"ticket",
    "trained": b"weights",
}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "pieces")
    store.write(PIECE, CONTENT)
    return store


def test_what_was_written_is_read(store):
    assert store.names() == {PIECE.name}
    assert PIECE.name in store
    stored = store.load(PIECE.name)
    assert stored.measures == {"test_accuracy": 0.5, "a new one": "anything"}
    assert (stored.folder / "trained").read_bytes() == b"weights"


def test_a_store_that_is_not_there_is_empty(tmp_path):
    store = Store(tmp_path / "none")
    assert store.names() == set()
    assert PIECE.name not in store
    with pytest.raises(PieceError, match="No such file"):
        store.load(PIECE.name)


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_verified(store, file):
    path = store.folder / PIECE.name / file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(PieceError, match=rf"{file} is damaged"):
        store.load(PIECE.name)
    path.unlink()
    with pytest.raises(PieceError, match=rf"{file}: No such file"):
        store.load(PIECE.name)


def test_the_checksums_are_those_that_sha256sum_reads(store):
    folder = store.folder / PIECE.name
    assert os.system(f"cd '{folder}' && sha256sum --quiet -c SHA256SUMS") == 0


def test_an_impossible_measure_is_refused(tmp_path):
    store = Store(tmp_path)
    store.write(PIECE, CONTENT | {"measures.json": b'{"test_accuracy": 98.2}'})
    with pytest.raises(PieceError, match="`test_accuracy` must be a fraction"):
        store.load(PIECE.name)


def test_a_piece_that_is_there_already_stays_as_it_is(store):
    store.write(PIECE, CONTENT | {"trained": b"other weights"})
    assert (store.load(PIECE.name).folder / "trained").read_bytes() == b"weights"
    assert [path.name for path in store.folder.iterdir()] == [PIECE.name]


def test_what_is_set_aside_is_no_piece_any_more(store):
    aside = store.set_aside(PIECE.name)
    assert (aside / "trained").read_bytes() == b"weights"
    assert store.names() == set()


def test_one_process_at_a_time_computes_a_piece(store):
    with store.lock(PIECE.name) as first:
        assert first
        with store.lock(PIECE.name) as second:
            assert not second
        assert f"process {os.getpid()} on " in store.who_computes(PIECE.name)
    with store.lock(PIECE.name) as third:
        assert third
    assert store.names() == {path.name for path in store.folder.iterdir()}


def test_whoever_gets_the_lock_removes_what_a_killed_process_left(store):
    leftover = store.folder / f".{PIECE.name}.0123abcd.tmp"
    leftover.mkdir()
    (leftover / "trained").write_bytes(b"half")
    with store.lock(PIECE.name):
        pass
    assert not leftover.exists()


def test_what_a_process_left_that_was_killed_after_the_last_step_is_tidied_up(store):
    (store.folder / f".{PIECE.name}.lock").touch()
    store.checkpoint_folder(PIECE.name).mkdir()
    store.tidy()
    assert [path.name for path in store.folder.iterdir()] == [PIECE.name]
