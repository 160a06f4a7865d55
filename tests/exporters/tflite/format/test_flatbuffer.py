"""Reading and writing: exact round trips, and an error for whatever is damaged."""

import random

import flatbuffers
import numpy as np
import pytest
import sample_files
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite import report
from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.runtimes import interpreter


def constants(data):
    file = flatbuffer.read(data)
    return [flatbuffer.values(file, tensor) for _, _, tensor in flatbuffer.constants(file)]


@pytest.mark.parametrize(("mode", "sparse"), [("float32", True), ("int8", False), ("int8", True)])
def test_what_is_read_and_written_says_the_same(mode, sparse):
    data = sample_files.stock_file(mode, sparse)
    again = flatbuffer.write(flatbuffer.read(data))
    for before, after in zip(constants(data), constants(again), strict=True):
        np.testing.assert_array_equal(before, after)
    x = np.random.default_rng(0).random((4, 32), np.float32)
    [before], [after] = (interpreter.invoke(d, [x], "built-in kernels") for d in (data, again))
    np.testing.assert_array_equal(before, after)


def test_every_buffer_begins_at_a_multiple_of_16():
    data = flatbuffer.write(flatbuffer.read(sample_files.stock_file("float32", False)))
    start = np.frombuffer(data, np.uint8).ctypes.data
    file = flatbuffer.read(data)
    offsets = [b.data.ctypes.data - start for b in file.buffers if flatbuffer.length(b)]
    assert len(offsets) >= 4
    assert [offset % 16 for offset in offsets] == [0] * len(offsets)


def test_sparse_and_dense_files_hold_the_same_weights():
    model = sample_files.dense_network()
    for sparse in (False, True):
        found = [c for c in constants(sample_files.stock_file("float32", sparse)) if c.ndim == 2]
        for layer in model.layers:
            kernel = layer.kernel.numpy().T
            assert any(np.array_equal(kernel, constant) for constant in found), layer.name


def test_int4_values_come_low_half_first():
    file = flatbuffer.read(sample_files.stock_file("float32", False))
    tensor = next(t for _, _, t in flatbuffer.constants(file))
    tensor.type, tensor.shape = schema.TensorType.INT4, np.array([3], np.int32)
    file.buffers[tensor.buffer].data = np.array([0x2F, 0x08], np.uint8)
    assert flatbuffer.values(file, tensor).tolist() == [-1, 2, -8]
    assert flatbuffer.dense_bytes(tensor) == 2


def test_a_constant_behind_the_flatbuffer_is_brought_in():
    data = sample_files.stock_file("float32", False)
    file = flatbuffer.read(data)
    tensor = next(t for _, _, t in flatbuffer.constants(file) if len(t.shape) == 2)
    expected = flatbuffer.values(file, tensor)
    name, buffer = tensor.name, file.buffers[tensor.buffer]
    # Large files keep an offset from their beginning; the length of the rest does not depend on it.
    buffer.data, buffer.size = None, expected.nbytes
    buffer.offset = 2**20
    head = flatbuffer.write(file)
    far = head + bytes(2**20 - len(head)) + expected.tobytes()
    file = flatbuffer.read(far)
    [found] = [t for _, _, t in flatbuffer.constants(file) if t.name == name]
    np.testing.assert_array_equal(flatbuffer.values(file, found), expected)
    with pytest.raises(FlatbufferError):
        flatbuffer.read(far[:-1])


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, b"PK\x03\x04" * 50, b"\x1c\0\0\0TFL3"])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(FlatbufferError):
        flatbuffer.read(data)


def test_a_few_bytes_cannot_describe_a_million_tensors():
    builder = flatbuffers.Builder(0)
    tensor = schema.TensorT().Pack(builder)
    schema.SubGraphStartTensorsVector(builder, 1000)
    for _ in range(1000):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    subgraph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1000)
    for _ in range(1000):
        builder.PrependUOffsetTRelative(subgraph)
    subgraphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, subgraphs)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    with pytest.raises(FlatbufferError, match="more than its bytes can hold"):
        flatbuffer.read(bytes(builder.Output()))


def mutated(data, rng):
    """A copy with one to twenty bytes, words or stretches changed, and sometimes cut short."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            word = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(len(data))))
            data[place & ~3 : (place & ~3) + 4] = word.to_bytes(4, "little")
        else:
            source, length = rng.randrange(len(data)), rng.randrange(1, 32)
            data[place : place + length] = data[source : source + length]
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.05 else data)


def test_mutated_files_are_read_or_refused():
    files = [
        sample_files.stock_file("float32", inputs=16, hidden=8),
        sample_files.stock_file("float16", inputs=16, hidden=16, block=4),
        sample_files.stock_file("int8", inputs=32, hidden=16, block=16),
        sample_files.separable_file(),
    ]
    rng, outcomes = random.Random(0), {"read": 0, "refused": 0}
    for _ in range(2_000):
        data = mutated(rng.choice(files), rng)
        try:
            str(report.build(data))
            file = flatbuffer.read(data)
            for _, _, tensor in flatbuffer.constants(file):
                # Types without a number stay undecoded.
                if flatbuffer.dense_bytes(tensor):
                    flatbuffer.values(file, tensor)
            outcomes["read"] += 1
        except FlatbufferError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 1_000
    assert outcomes["read"] > 200


def test_a_tensor_larger_than_any_memory_is_damage():
    file = flatbuffer.read(sample_files.stock_file("float32"))
    file.subgraphs[0].tensors[0].shape = [2**31 - 1] * 3
    with pytest.raises(flatbuffer.FlatbufferError, match="has shape"):
        flatbuffer.read(flatbuffer.write(file))
