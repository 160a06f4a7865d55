"""The ticket file: nothing is lost. (What is no ticket: test_damaged_ticket_files.py.)"""

import os
import stat

import ml_dtypes
import numpy as np
import pytest
import safetensors
from sample_tickets import GOLDEN, assert_same, encoded, golden_ticket, model_of, ticket_of

from keras_lottery.tickets import file as ticket_file
from keras_lottery.tickets.ticket import Ticket, TicketError

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
