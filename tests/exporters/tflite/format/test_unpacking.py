"""Every file is unpacked into what the schema's own reader makes of it, or refused."""

import random

import numpy as np
import pytest
import sample_files
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import flatbuffer, unpacking


def files():
    return [
        sample_files.stock_file("float32", inputs=16, hidden=8),
        sample_files.stock_file("float16", inputs=16, hidden=16, block=4),
        sample_files.stock_file("int8", inputs=32, hidden=16, block=16),
        sample_files.separable_file(),
    ]


def assert_same(one, other, path="file"):
    assert type(one) is type(other), path
    if isinstance(one, list):
        assert len(one) == len(other), path
        for index, (each, its_twin) in enumerate(zip(one, other, strict=True)):
            assert_same(each, its_twin, f"{path}[{index}]")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, path
        np.testing.assert_array_equal(one, other, path)
    elif hasattr(one, "__dict__"):
        assert list(vars(one)) == list(vars(other)), path
        for name, value in vars(one).items():
            assert_same(value, getattr(other, name), f"{path}.{name}")
    else:
        assert one == other or one != one, path


def mutated(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice((1, 2, 5))):
        place = rng.randrange(len(data))
        data[place] = rng.choice((0, 1, 127, 128, 255, data[place] ^ 1))
    return bytes(data)


def test_as_the_schema_reads_it():
    for data in files():
        assert_same(unpacking.unpack(data), schema.ModelT.InitFromPackedBuf(data, 0))


def test_damaged_files_are_read_likewise_or_refused():
    rng, originals, read = random.Random(0), files(), 0
    for _ in range(500):
        data = mutated(rng.choice(originals), rng)
        try:
            file = unpacking.unpack(data)
        except Exception:  # `flatbuffer.read` makes one error of all of them.
            with pytest.raises(FlatbufferError):
                flatbuffer.read(data)
        else:
            assert_same(file, schema.ModelT.InitFromPackedBuf(data, 0))
            read += 1
    assert read > 200


@pytest.mark.parametrize("kind", unpacking._FIELDS, ids=lambda kind: kind.__name__)
def test_no_field_of_the_schema_is_left_out(kind):
    assert [name for name in unpacking._FIELDS[kind] if name] == list(vars(kind()))


def test_tables_that_share_their_place_are_paid_for_each():
    count, model = 1000, schema.ModelT()
    model.subgraphs, model.buffers = [schema.SubGraphT()], []
    shared = _Shared(schema.TensorT())
    model.subgraphs[0].tensors = [shared] * count
    data = flatbuffer.write(model)
    with pytest.raises(FlatbufferError, match="more than its bytes can hold"):
        unpacking.unpack(data + bytes(19 * count - len(data)))
    padded = data + bytes(24 * count + 100)
    assert len(unpacking.unpack(padded).subgraphs[0].tensors) == count


class _Shared:
    """A table that is packed once, however often it is asked to."""

    def __init__(self, table):
        self._table, self._packed = table, None

    def Pack(self, builder):
        if self._packed is None:
            self._packed = self._table.Pack(builder)
        return self._packed
