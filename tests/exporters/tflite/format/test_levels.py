"""Decoding: levels written by hand, levels that contradict themselves, and the encoder's."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import encoding, levels


def dense_level(size):
    return schema.DimensionMetadataT(format=schema.DimensionType.DENSE, denseSize=size)


def csr_level(segments, indices):
    return schema.DimensionMetadataT(
        format=schema.DimensionType.SPARSE_CSR,
        arraySegmentsType=schema.SparseIndexVector.Uint8Vector,
        arraySegments=schema.Uint8VectorT(values=np.array(segments, np.uint8)),
        arrayIndicesType=schema.SparseIndexVector.Uint8Vector,
        arrayIndices=schema.Uint8VectorT(values=np.array(indices, np.uint8)),
    )


def tensor(shape, order, metadata, blocks=()):
    sparsity = schema.SparsityParametersT(
        traversalOrder=np.array(order, np.int32),
        blockMap=np.array(blocks, np.int32),
        dimMetadata=metadata,
    )
    return schema.TensorT(name=b"fc1", shape=np.array(shape, np.int32), sparsity=sparsity)


def test_rows_of_a_compressed_matrix():
    # [[0, a, 0], [b, 0, c]]
    found = tensor((2, 3), (0, 1), [dense_level(2), csr_level([0, 1, 3], [1, 0, 2])])
    assert levels.positions(found, 3).tolist() == [1, 3, 5]


def test_columns_first():
    # The same matrix, column by column: b, a, c.
    found = tensor((2, 3), (1, 0), [dense_level(3), csr_level([0, 1, 2, 3], [1, 0, 1])])
    assert levels.positions(found, 3).tolist() == [3, 1, 5]


def test_blocks_along_the_last_axis():
    # One row of four, its second half alive.
    found = tensor((1, 4), (0, 1, 2), [dense_level(1), csr_level([0, 1], [1]), dense_level(2)], [1])
    assert levels.blocks(found) == {1: 2}
    assert levels.positions(found, 2).tolist() == [2, 3]


def test_two_compressed_levels():
    # 3x3 with a single value in the middle row.
    found = tensor((3, 3), (0, 1), [csr_level([0, 1], [1]), csr_level([0, 1], [2])])
    assert levels.positions(found, 1).tolist() == [5]


@pytest.mark.parametrize(
    ("order", "metadata", "count", "message"),
    [
        ((0, 0), [dense_level(2), dense_level(3)], 6, "traversal order"),
        ((0, 1), [dense_level(2)], 2, "no metadata"),
        ((0, 1), [dense_level(2), dense_level(4)], 8, "4 entries along an axis of 3"),
        ((0, 1), [dense_level(2), dense_level(3)], 5, "5 values for 6"),
        ((0, 1), [dense_level(2), csr_level([0, 1], [0])], 1, "3 segments"),
        ((0, 1), [dense_level(2), csr_level([0, 2, 1], [0])], 1, "do not cover"),
        ((0, 1), [dense_level(2), csr_level([0, 1, 2], [0, 3])], 2, "outside an axis of 3"),
        ((0, 1), [dense_level(2), csr_level([1, 1, 1], [0])], 1, "do not cover"),
    ],
)
def test_contradictions_are_refused(order, metadata, count, message):
    with pytest.raises(FlatbufferError, match=message):
        levels.positions(tensor((2, 3), order, metadata), count)


def test_blocks_must_be_of_an_axis_and_fit():
    metadata = [dense_level(1), csr_level([0, 1], [0]), dense_level(5)]
    with pytest.raises(FlatbufferError, match="block map"):
        levels.positions(tensor((1, 4), (0, 1, 2), metadata, [2]), 5)
    with pytest.raises(FlatbufferError, match="blocks of 5 in 4"):
        levels.positions(tensor((1, 4), (0, 1, 2), metadata, [1]), 5)


def test_a_level_is_counted_before_it_is_allocated():
    # 2^31 rows of which none has a segment.
    found = tensor((2**31 - 1, 2**31 - 1), (0, 1), [dense_level(2**31 - 1), csr_level([0, 0], [])])
    with pytest.raises(FlatbufferError, match="segments"):
        levels.positions(found, 0)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_what_the_encoder_writes_is_decoded(data):
    shape = data.draw(st.lists(st.integers(1, 8), min_size=2, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = rng.standard_normal(shape) * (rng.random(shape) < data.draw(st.floats(0.05, 0.7)))
    plan = encoding.cheapest(values, itemsize=4)
    stored, sparsity = encoding.encode(values, plan)
    sparsity.blockMap = [] if sparsity.blockMap is None else sparsity.blockMap
    found = schema.TensorT(shape=np.array(shape, np.int32), sparsity=sparsity)
    result = np.zeros(values.size)
    result[levels.positions(found, stored.size)] = stored
    np.testing.assert_array_equal(result.reshape(shape), values)
