"""The ticket record and its file: nothing is lost, and nothing damaged is ever loaded."""

import json
import os
import random
import stat
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors

from keras_lottery import ticket_file
from keras_lottery.core.compare import MaskMismatchError
from keras_lottery.lottery import Lottery
from keras_lottery.ticket import Ticket, TicketError

GOLDEN = Path(__file__).parent / "golden" / "ticket_v1.ticket"
DTYPES = [
    "float64",
    "float32",
    "float16",
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
]


def golden_ticket():
    """What `golden/ticket_v1.ticket` holds. Never change it: old files must load for ever."""
    return Ticket(
        masks={
            "fc1/kernel": np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]], bool),
            "output/kernel": np.array([[1, 1], [0, 1], [1, 0]], bool),
        },
        values={
            "fc1/kernel": np.arange(12, dtype="float32").reshape(4, 3) / 8 - 0.5,
            "fc1/bias": np.array([0.5, -0.0, np.inf], "float16"),
            "output/kernel": np.array([[1, 2], [3, 4], [5, 6]], ml_dtypes.bfloat16),
            "dropout/seed_generator/seed": np.array([7, 4_000_000_000], "uint32"),
            "count": np.array(3, "int64"),
        },
        metadata={
            "criterion": "large_final",
            "rounds": 2,
            "history": [{"accuracy": 0.75, "loss": None}],
            "note": "Größe",
        },
    )


def encoded(ticket):
    return ticket_file.encode(ticket.masks, ticket.values, ticket.metadata)


def assert_same(one, other):
    """Equal to the last bit, in the same order."""
    for ours, theirs in ((one.masks, other.masks), (one.values, other.values)):
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype, name
            assert ours[name].shape == theirs[name].shape, name
            assert ours[name].tobytes() == theirs[name].tobytes(), name
    assert one.metadata == other.metadata


def model_of(units=3, name="fc1", seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units, name=name, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, name="output"),
        ]
    )


def ticket_of(model, seed=0):
    rng = np.random.default_rng(seed)
    lottery = Lottery(model)
    lottery.set_masks({name: rng.random(mask.shape) < 0.5 for name, mask in lottery.masks.items()})
    lottery.detach()
    return Ticket(lottery.masks, lottery.state.point.values, {"seed": seed})


# The record.


@pytest.mark.parametrize(
    "masks, problem",
    [
        ({}, "selects nothing"),
        ({"k": np.ones((2, 2))}, r"'k' has dtype float64; masks are bool"),
        ({"other": np.ones((2, 2), bool)}, "a mask for 'other', but no value"),
        ({"k": np.ones((2, 3), bool)}, r"'k' has shape \(2, 3\), its value \(2, 2\)"),
    ],
)
def test_an_inconsistent_record_is_refused(masks, problem):
    with pytest.raises(TicketError, match=problem):
        Ticket(masks, {"k": np.zeros((2, 2), "float32")})


def test_the_ticket_of_a_lottery():
    lottery = Lottery(model_of(), seed=5)
    lottery.prune(0.5)
    ticket = Ticket.of(lottery, "large_final", "layerwise", 1, [{"accuracy": 0.5}])
    assert ticket.sparsity == lottery.sparsity == 0.5
    assert list(ticket.values)[:2] == ["fc1/kernel", "fc1/bias"]
    metadata = ticket.metadata
    assert {name: metadata[name] for name in list(metadata)[:8]} == {
        "criterion": "large_final",
        "scope": "layerwise",
        "rounds": 1,
        "history": [{"accuracy": 0.5}],
        "pruned": "zero",
        "sparsity": 0.5,
        "rewind_step": 0,
        "seed": 5,
    }
    assert metadata["versions"]["keras"] == keras.__version__
    again = Ticket(*ticket_file.decode(encoded(ticket)))
    assert_same(again, ticket)
    assert again.apply(model_of()).seed == 5


@pytest.mark.parametrize("pruned", ["zero", "freeze", "freeze_unless_shrinking"])
def test_a_ticket_restores_what_pruned_weights_are_held_at(pruned):
    lottery = Lottery(model_of(seed=1), pruned=pruned)
    rng = np.random.default_rng(0)
    for kernel in (lottery.model.layers[0].kernel, lottery.model.layers[-1].kernel):
        kernel.assign(rng.normal(size=kernel.shape))
    lottery.prune(0.5)
    lottery.rewind()
    model = model_of(seed=2)
    Ticket(*ticket_file.decode(encoded(Ticket.of(lottery)))).apply(model).check()
    for one, other in zip(lottery.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# The file.


def test_round_trip(tmp_path):
    ticket = golden_ticket()
    ticket.save(tmp_path / "a.ticket")
    assert_same(Ticket.load(tmp_path / "a.ticket"), ticket)
    assert os.listdir(tmp_path) == ["a.ticket"]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_every_dtype_survives(dtype):
    # All 256 bytes in every place: NaN payloads, infinities and denormals of each dtype as well.
    size = np.dtype(dtype).itemsize
    if np.dtype(dtype) == bool:
        value = np.tile([True, False], 64).reshape(2, 64)
    else:
        bits = np.random.default_rng(0).permutation(np.arange(256 * size) % 256).astype("uint8")
        value = bits.view(dtype).reshape(2, -1)
    ticket = Ticket({"k": np.ones((2, 2), bool)}, {"k": np.zeros((2, 2), "float32"), "v": value})
    assert_same(Ticket(*ticket_file.decode(encoded(ticket))), ticket)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (9,), (2, 3, 5, 7)])
def test_every_shape_survives(shape):
    mask = np.random.default_rng(0).random(shape) < 0.5
    ticket = Ticket({"k": np.asarray(mask)}, {"k": np.full(shape, 0.25, "float32")})
    assert_same(Ticket(*ticket_file.decode(encoded(ticket))), ticket)


def test_memory_order_does_not_matter():
    kernel = np.arange(12, dtype="float32").reshape(3, 4)
    one = Ticket({"k": kernel > 5}, {"k": kernel})
    other = Ticket({"k": np.asfortranarray(kernel > 5)}, {"k": np.asfortranarray(kernel)})
    assert encoded(one) == encoded(other)


def test_what_cannot_be_stored_is_refused(tmp_path):
    kernel = np.zeros((2, 2), "float32")
    masks = {"k": kernel == 0}
    path = tmp_path / "a.ticket"
    with pytest.raises(TicketError, match=r"a\.ticket: cannot store 'value/z': .* complex128"):
        Ticket(masks, {"k": kernel, "z": np.zeros(1, "complex128")}).save(path)
    with pytest.raises(TicketError, match=r"a\.ticket: the ticket's metadata is not JSON"):
        Ticket(masks, {"k": kernel}, {"rng": object()}).save(path)
    with pytest.raises(TicketError, match=r"metadata is too long: the limit is 16,777,216 bytes"):
        Ticket(masks, {"k": kernel}, {"long": "x" * 2**24}).save(path)
    with pytest.raises(TicketError, match=r"cannot be written: No such file or directory"):
        Ticket(masks, {"k": kernel}).save(tmp_path / "missing" / "a.ticket")
    assert os.listdir(tmp_path) == []


def test_values_are_read_only_views_of_the_file(tmp_path):
    golden_ticket().save(tmp_path / "a.ticket")
    values = Ticket.load(tmp_path / "a.ticket").values
    for value in values.values():
        assert not value.flags.writeable
        assert not value.flags.owndata


def test_a_loaded_ticket_can_be_saved_over_its_own_file(tmp_path):
    path = tmp_path / "a.ticket"
    golden_ticket().save(path)
    loaded = Ticket.load(path)
    loaded.save(path)
    assert_same(loaded, golden_ticket())
    assert_same(Ticket.load(path), golden_ticket())


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.ticket"
    golden_ticket().save(path)
    before = path.read_bytes()
    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:

            def fail(*arguments):
                raise OSError(28, "No space left on device")

            patch.setattr(ticket_file.os, step, fail)
            with pytest.raises(TicketError, match=r"cannot be written: No space left"):
                ticket_of(model_of()).save(path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["a.ticket"]


def test_an_ordinary_file_with_ordinary_permissions(tmp_path):
    golden_ticket().save(tmp_path / "a.ticket")
    (tmp_path / "b").write_bytes(b"")
    ours, ordinary = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.ticket", "b"))
    assert ours == ordinary


def test_any_safetensors_reader_opens_it(tmp_path):
    golden_ticket().save(tmp_path / "a.ticket")
    with safetensors.safe_open(tmp_path / "a.ticket", framework="np") as file:
        assert set(file.keys()) == {
            *(f"mask/{name}" for name in golden_ticket().masks),
            *(f"value/{name}" for name in golden_ticket().values),
        }
        kernel = file.get_tensor("value/fc1/kernel")
    np.testing.assert_array_equal(kernel, golden_ticket().values["fc1/kernel"])


def test_the_golden_file_still_loads():
    assert_same(Ticket.load(GOLDEN), golden_ticket())


def test_equal_tickets_are_equal_files():
    assert encoded(golden_ticket()) == encoded(golden_ticket()) == GOLDEN.read_bytes()


# What is not a ticket.


def foreign_files(folder):
    """(name of a file in `folder`, what the error says about it)."""
    data = GOLDEN.read_bytes()
    length = int.from_bytes(data[:8], "little")
    np.savez(folder / "arrays.npz", a=np.zeros(3))
    model_of().save(folder / "model.keras")
    (folder / "empty").write_bytes(b"")
    (folder / "short").write_bytes(b"abc")
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
        "arrays.npz": "announces a header of [0-9,]+ bytes, and 16,777,216 is the limit",
        "model.keras": "announces a header of [0-9,]+ bytes, and 16,777,216 is the limit",
        "text": "announces a header of [0-9,]+ bytes, and 16,777,216 is the limit",
        "header": "announces a header of 9,223,372,036,854,775,808 bytes",
        "empty": "the file is empty",
        "short": "truncated: 3 bytes",
        "folder": "Is a directory",
        "missing": "No such file or directory",
        "cut": "truncated or damaged",
        "cut_header": "truncated: [0-9]+ bytes do not hold a header",
        "longer": "1 bytes after the last tensor",
        "flipped": "SHA-256",
        "other": "a safetensors file, but not a ticket",
        "array": "not a JSON object",
        "deep": "no JSON in its header",
        "later": "format version 2; this keras_lottery reads 1",
    }


def test_foreign_and_damaged_files(tmp_path):
    for name, problem in foreign_files(tmp_path).items():
        with pytest.raises(TicketError, match=problem) as caught:
            Ticket.load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


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
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


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


# On a model.


def test_apply():
    ticket = ticket_of(model_of(seed=1))
    model = model_of(seed=2)
    lottery = ticket.apply(model)
    assert lottery.model is model
    for name, mask in ticket.masks.items():
        np.testing.assert_array_equal(lottery.masks[name], mask)
    lottery.check()
    # In the layers' order: Keras numbers the unnamed ones anew.
    for value, expected in zip(
        lottery.state.point.values.values(), ticket.values.values(), strict=True
    ):
        np.testing.assert_array_equal(value, expected)
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
    np.testing.assert_array_equal(
        kernel, np.where(ticket.masks["fc1/kernel"], ticket.values["fc1/kernel"], 0)
    )


def test_apply_holds_in_training(tmp_path):
    ticket_of(model_of(seed=1)).save(tmp_path / "a.ticket")
    model = model_of(seed=2)
    model.compile("adam", "mse")
    ticket = Ticket.load(tmp_path / "a.ticket")
    lottery = ticket.apply(model)
    model.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=2, verbose=0)
    lottery.check()
    lottery.rewind()
    # In the layers' order: Keras numbers the unnamed ones anew.
    for value, expected in zip(
        lottery.state.point.values.values(), ticket.values.values(), strict=True
    ):
        np.testing.assert_array_equal(value, expected)


def test_apply_finds_renumbered_layers():
    def build():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])

    ticket = ticket_of(build())
    model = build()
    lottery = ticket.apply(model)
    assert set(lottery.names).isdisjoint(ticket.masks)
    for mask, expected in zip(lottery.masks.values(), ticket.masks.values(), strict=True):
        np.testing.assert_array_equal(mask, expected)


def test_apply_masks_only_the_kernels_of_the_ticket():
    ticket = ticket_of(model_of())
    masks = {"fc1/kernel": ticket.masks["fc1/kernel"]}
    lottery = Ticket(masks, ticket.values).apply(model_of())
    assert lottery.names == ["fc1/kernel"]


@pytest.mark.parametrize(
    "model, problem",
    [
        (lambda: model_of(units=4), r"fc1/kernel.*\(4, 3\).*\(4, 4\)"),
        (lambda: model_of(name="dense"), "fc1/kernel"),
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc1")]),
            "differ",
        ),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "build it"),
    ],
)
def test_a_wrong_architecture_leaves_the_model_as_it_was(model, problem):
    ticket = ticket_of(model_of())
    model = model()
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(TicketError, match=problem):
        ticket.apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not model.built or Lottery.of(model) is None


def test_another_dtype_is_refused():
    ticket = ticket_of(model_of())
    values = {**ticket.values, "output/bias": ticket.values["output/bias"].astype("float16")}
    with pytest.raises(
        TicketError, match="'output/bias' is float16 in it and float32 in the model"
    ):
        Ticket(ticket.masks, values).apply(model_of())


def test_a_model_with_masks_is_refused():
    ticket, model = ticket_of(model_of()), model_of(seed=1)
    lottery = ticket.apply(model)
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(TicketError, match="has masks already"):
        ticket.apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert Lottery.of(model) is lottery


def test_masks_of_what_cannot_be_pruned_are_refused():
    ticket, model = ticket_of(model_of()), model_of()
    masks = {**ticket.masks, "output/bias": np.ones(2, bool)}
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(TicketError, match=r"masks for \['output/bias'\], which cannot be pruned"):
        Ticket(masks, ticket.values).apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert Lottery.of(model) is None


def test_bfloat16_model(tmp_path):
    def build():
        layer = keras.layers.Dense(2, name="fc", dtype="bfloat16")
        return keras.Sequential([keras.Input((4,)), layer])

    ticket = ticket_of(build())
    ticket.save(tmp_path / "a.ticket")
    model = build()
    Ticket.load(tmp_path / "a.ticket").apply(model).check()
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
    assert kernel.dtype == ml_dtypes.bfloat16
    expected = np.where(ticket.masks["fc/kernel"], ticket.values["fc/kernel"], 0)
    np.testing.assert_array_equal(kernel.astype("float32"), expected.astype("float32"))


# Between tickets.


def test_operations_take_the_first_tickets_values():
    one, other = ticket_of(model_of(seed=1), seed=1), ticket_of(model_of(seed=2), seed=2)
    for name, operation in {
        "union": np.logical_or,
        "intersection": np.logical_and,
        "difference": lambda a, b: a & ~b,
    }.items():
        combined = getattr(one, name)(other)
        for kernel, mask in combined.masks.items():
            np.testing.assert_array_equal(mask, operation(one.masks[kernel], other.masks[kernel]))
        assert_same(Ticket(one.masks, combined.values), Ticket(one.masks, one.values))
        assert combined.metadata == {
            "operation": name,
            "of": [{"seed": 1}, {"seed": 2}],
            "pruned": "zero",
            "seed": 1,
        }


def test_operations_hold_pruned_weights_where_the_tickets_do():
    def ticket(pruned, sparsity):
        lottery = Lottery(model_of(seed=1), pruned=pruned)
        lottery.prune(sparsity)
        return Ticket.of(lottery)

    one, other = ticket("freeze", 0.25), ticket("freeze", 0.5)
    for combined in (one.union(other), one.intersection(other), one.difference(other)):
        applied = combined.apply(model_of(seed=2))
        applied.check()
        for name, kernel in applied._kernels.items():
            np.testing.assert_array_equal(kernel, one.values[name])
    assert ticket("freeze", 0.0).union(one).metadata["pruned"] == "freeze"
    with pytest.raises(TicketError, match="held as by 'freeze', of the other as by 'zero'"):
        one.union(ticket("zero", 0.5))


def test_compare():
    one, other = ticket_of(model_of(), seed=1), ticket_of(model_of(), seed=2)
    comparison = one.compare(other)
    assert [line.name for line in comparison.kernels] == ["fc1/kernel", "output/kernel"]
    assert comparison.overall.both == sum(
        int(np.sum(one.masks[name] & other.masks[name])) for name in one.masks
    )
    with pytest.raises(MaskMismatchError, match=r"\(4, 3\) and \(4, 5\)"):
        one.compare(ticket_of(model_of(units=5)))
