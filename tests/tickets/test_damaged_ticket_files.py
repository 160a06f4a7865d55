"""Nothing damaged, forged or foreign is ever loaded as a ticket."""

import gzip
import json
import os
import pickle
import random
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from sample_tickets import GOLDEN, assert_same, golden_ticket, model_of

from keras_lottery.tickets import file as ticket_file
from keras_lottery.tickets.ticket import Ticket, TicketError


def foreign_files(folder):
    """(name of a file in `folder`, what the error says about it)."""
    data = GOLDEN.read_bytes()
    length = int.from_bytes(data[:8], "little")
    np.savez(folder / "arrays.npz", a=np.zeros(3))
    np.save(folder / "array.npy", np.zeros(3))
    model_of().save(folder / "model.keras")
    model_of().save_weights(folder / "model.weights.h5")
    (folder / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(20))
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("a.ticket", data)
    (folder / "ticket.pickle").write_bytes(pickle.dumps({"a": 1}))
    (folder / "ticket.gz").write_bytes(gzip.compress(data))
    (folder / "pointer").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (folder / "noise").write_bytes(bytes(range(200, 256)))
    os.mkfifo(folder / "fifo")
    (folder / "empty").write_bytes(b"")
    (folder / "short").write_bytes(b"\1\0\0")
    (folder / "text").write_text("a ticket, honestly")
    (folder / "folder").mkdir()
    (folder / "header").write_bytes((2**63).to_bytes(8, "little") + data[8:])
    (folder / "cut").write_bytes(data[:-1])
    (folder / "cut_header").write_bytes(data[: 8 + length // 2])
    (folder / "longer").write_bytes(data + b"\0")
    flipped = bytearray(data)
    flipped[-3] ^= 16
    (folder / "flipped").write_bytes(flipped)
    (folder / "other").write_bytes(safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt"}))
    (folder / "array").write_bytes(len(b"[]").to_bytes(8, "little") + b"[]")
    deep = b"[" * 100_000
    (folder / "deep").write_bytes(len(deep).to_bytes(8, "little") + deep)
    text = json.dumps({"version": 2, "masks": {}, "values": [], "metadata": {}})
    (folder / "later").write_bytes(safetensors.numpy.save({}, {"ticket": text}))
    return {
        "arrays.npz": r"not a ticket, but NumPy arrays \(\.npz\)",
        "array.npy": r"not a ticket, but a NumPy array \(\.npy\)",
        "model.keras": r"not a ticket, but a Keras model \(\.keras\)",
        "model.weights.h5": "not a ticket, but an HDF5 file",
        "model.tflite": "not a ticket, but a TFLite file",
        "archive.zip": "not a ticket, but a zip archive",
        "ticket.pickle": "not a ticket, but a pickle",
        "ticket.gz": "not a ticket, but a gzip file",
        "pointer": "not a ticket, but a pointer of Git LFS",
        "text": "not a ticket, but a text",
        "noise": "announces a header of [0-9,]+ bytes, and 16,777,216 is the limit",
        "header": "announces a header of 9,223,372,036,854,775,808 bytes",
        "empty": "the file is empty",
        "short": "truncated: 3 bytes",
        "nul\0": "cannot be read: .*embedded null",
        "fifo": "not a regular file, but a FIFO, a socket or a device",
        "folder": "Is a directory",
        "missing": "No such file or directory",
        "cut": "truncated or damaged",
        "cut_header": "truncated: [0-9]+ bytes do not hold a header",
        "longer": "1 bytes after the last tensor",
        "flipped": "SHA-256",
        "other": "a safetensors file, but not a ticket",
        "array": "not a JSON object",
        "deep": "no JSON in its header",
        "later": "its format version is 2; this keras_lottery reads 1",
    }


def test_foreign_and_damaged_files(tmp_path):
    for name, problem in foreign_files(tmp_path).items():
        with pytest.raises(TicketError, match=problem) as caught:
            Ticket.load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("length", [0x380, 0x480, 0x580])
def test_a_header_whose_length_begins_as_a_pickle_does(length):
    """Little-endian, 0x380 is written as 80 03."""

    def file(text):
        data = ticket_file.encode({"kernel": np.ones(3, bool)}, {}, {"text": text})
        return data, int.from_bytes(data[:8], "little")

    _, empty = file("")
    data, written = file("x" * (length - empty))
    assert written == length
    masks, _, _ = ticket_file.decode(data)
    assert masks["kernel"].all()


@pytest.mark.parametrize("path", ["", b"", 0, None, "/dev/null", "\ud800"])
def test_a_path_that_names_no_file_is_refused(path):
    with pytest.raises(TicketError):
        Ticket.load(path)
    with pytest.raises(TicketError):
        golden_ticket().save(path)
    assert not os.path.isfile(os.devnull)


@pytest.mark.parametrize("key", ["masks", "sha256", "history"])
def test_a_key_that_stands_twice_is_refused(key):
    header, description, tensors = parts(GOLDEN.read_bytes())
    text = json.dumps(description)
    assert f'"{key}": ' in text
    header["__metadata__"]["ticket"] = text.replace(f'"{key}": ', f'"{key}": 0, "{key}": ', 1)
    with pytest.raises(TicketError, match=f"the key '{key}' stands twice"):
        ticket_file.decode(joined(json.dumps(header), tensors))


def test_a_tensor_that_stands_twice_is_refused():
    header, _, tensors = parts(GOLDEN.read_bytes())
    text = json.dumps(header)
    name = "value/fc1/kernel"
    forged = text.replace(f'"{name}": ', f'"{name}": {json.dumps(header[name])}, "{name}": ')
    with pytest.raises(TicketError, match=f"the key '{name}' stands twice"):
        ticket_file.decode(joined(forged, tensors))


def test_metadata_whose_keys_become_one_are_refused(tmp_path):
    ticket = Ticket(golden_ticket().masks, golden_ticket().values, {"a": {1: "int", "1": "text"}})
    with pytest.raises(TicketError, match="the key '1' stands twice"):
        ticket.save(tmp_path / "a.ticket")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        {"masks": {"k": [3, 4]}, "values": ["k"], "metadata": {}},
        {"masks": {"k": [-2, -2]}, "values": ["k"], "metadata": {}},
        {"masks": {"k": [True, 4]}, "values": ["k"], "metadata": {}},
        {"masks": {"k": 4}, "values": ["k"], "metadata": {}},
        {"masks": {"j": [2, 2]}, "values": ["k"], "metadata": {}},
        {"masks": ["k"], "values": ["k"], "metadata": {}},
        {"masks": {"k": [2, 2]}, "values": [], "metadata": {}},
        {"masks": {"k": [2, 2]}, "values": ["k", "k"], "metadata": {}},
        {"masks": {"k": [2, 2]}, "values": [["k"]], "metadata": {}},
        {"masks": {"k": [2, 2]}, "values": ["k"], "metadata": [1]},
        {"masks": {"k": [2, 2]}, "values": ["k"]},
        {"masks": {"k": [4]}, "values": ["k"], "metadata": {}},
        {},
    ],
)
def test_a_digest_does_not_excuse_a_wrong_description(content):
    """A forged file, whose digest is right, is checked all the same."""
    tensors = {"mask/k": np.zeros(1, "uint8"), "value/k": np.zeros((2, 2), "float32")}
    content = {"version": 1, **content}
    content["sha256"] = ticket_file._digest(dict(content), tensors)
    data = safetensors.numpy.save(tensors, {"ticket": json.dumps(content)})
    with pytest.raises(TicketError):
        Ticket(*ticket_file.decode(data))


def mutate(data, rng):
    """`data` with one random damage."""
    kind = rng.randrange(6)
    place = rng.randrange(len(data))
    if kind == 0:  # truncated
        return data[:place]
    if kind == 1:  # one bit
        return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    if kind == 2:  # bytes inserted
        return data[:place] + rng.randbytes(rng.randrange(1, 9)) + data[place:]
    if kind == 3:  # bytes lost
        return data[:place] + data[place + rng.randrange(1, 9) :]
    if kind == 4:  # another header length
        return rng.randbytes(rng.randrange(9)).ljust(8, b"\0") + data[8:]
    length = int.from_bytes(data[:8], "little")  # a number or a letter of the header edited
    place = 8 + rng.randrange(length)
    return data[:place] + rng.choice(b'0123456789-[]{},:"aF').to_bytes() + data[place + 1 :]


def test_fuzz():
    """12,000 damaged files: each is refused, or is the ticket it was."""
    original = golden_ticket()
    data = GOLDEN.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(12_000):
        damaged = mutate(data, rng)
        try:
            loaded = Ticket(*ticket_file.decode(damaged))
        except TicketError:
            refused += 1
        else:
            assert_same(loaded, original)
    # The rest: an edit that writes what was there, or other white space.
    assert refused > 11_000


def forge(data, rng):
    """`data` with a random part of its header, or of the description in it, replaced."""
    header, description, tensors = parts(data)
    node, key = rng.choice([*places(header), *places(description)])
    junk = [None, True, -1, 0, 1, 2**70, 0.5, "", "U8", "F32", "ticket", [], [0], [-1, -1], {}]
    junk += [[0, 2**70], [2**40, 2**40], [0, 12], [[1]], {"dtype": "U8"}, {"": 0}]
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(junk)
    if isinstance(header.get("__metadata__"), dict) and "ticket" in header["__metadata__"]:
        header["__metadata__"]["ticket"] = json.dumps(description)
    return joined(json.dumps(header), tensors)


def joined(header, tensors):
    """The bytes of a file with a header, given as text."""
    return len(header.encode()).to_bytes(8, "little") + header.encode() + tensors


def parts(data):
    """The header of a ticket file, the description in it, and the bytes of the tensors."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["ticket"]), data[8 + length :]


def places(node):
    """(container, key) of everything in a JSON value."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


def test_fuzz_of_forged_headers(monkeypatch):
    """Without the digest's help, whatever a header says gives a ticket or a `TicketError`."""
    data = GOLDEN.read_bytes()
    stated = parts(data)[1]["sha256"]
    monkeypatch.setattr(ticket_file, "_digest", lambda content, tensors: stated)
    rng = random.Random(0)
    refused = 0
    for _ in range(5_000):
        try:
            Ticket(*ticket_file.decode(forge(data, rng)))
        except TicketError:
            refused += 1
    assert refused > 4_000


def test_every_bit_of_the_content_is_covered():
    """All single bit flips of the file: what loads is unchanged, and only padding may flip."""
    data = GOLDEN.read_bytes()
    original = golden_ticket()
    start = 8 + int.from_bytes(data[:8], "little")
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            try:
                loaded = Ticket(*ticket_file.decode(bytes(damaged)))
            except TicketError:
                continue
            assert place < start, f"bit {bit} of byte {place} is not covered"
            assert_same(loaded, original)
