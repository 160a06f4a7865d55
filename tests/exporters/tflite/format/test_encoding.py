"""The cost search: exact to the byte, never beaten by another plan, and exact values back."""

import itertools

import hypothesis
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import strategies as st

from keras_lottery.exporters.tflite.format import encoding, levels


def arrays():
    shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
    return st.builds(random_array, shapes, st.floats(0, 1), st.booleans(), st.integers(0, 99))


def random_array(shape, sparsity, dead_slices, seed):
    rng = np.random.default_rng(seed)
    values = (1 + rng.random(shape, np.float32)) * (rng.random(shape) >= sparsity)
    if dead_slices:
        values[rng.random(shape[0]) < 0.5] = 0
    return values.astype(np.float32)


def stored_bytes(stored, sparsity):
    vectors = [
        v for level in sparsity.dimMetadata for v in (level.arraySegments, level.arrayIndices)
    ]
    return stored.nbytes + sum(vector.values.nbytes for vector in vectors if vector is not None)


def decode(stored, sparsity, shape):
    tensor = schema.TensorT()
    tensor.shape, tensor.sparsity = np.array(shape), sparsity
    values = np.zeros(int(np.prod(shape)), stored.dtype)
    values[levels.positions(tensor, stored.size)] = stored
    return values.reshape(shape)


@hypothesis.given(arrays(), st.sampled_from([1, 2, 4]))
@hypothesis.settings(max_examples=150, deadline=None)
def test_the_plan_costs_what_it_says_and_gives_the_values_back(values, itemsize):
    dtype = {1: np.int8, 2: np.float16, 4: np.float32}[itemsize]
    values = values.astype(dtype)
    plan = encoding.cheapest(values, itemsize)
    stored, sparsity = encoding.encode(values, plan)
    assert stored.size == plan.count
    assert stored_bytes(stored, sparsity) == plan.bytes
    np.testing.assert_array_equal(decode(stored, sparsity, values.shape), values)


@hypothesis.given(arrays())
@hypothesis.settings(max_examples=30, deadline=None)
def test_no_order_and_no_choice_of_levels_is_cheaper(values):
    best = encoding.cheapest(values, 4).bytes
    for order in itertools.permutations(range(values.ndim)):
        for compressed in itertools.product((False, True), repeat=values.ndim):
            plan = encoding.Plan(order, compressed, None, 0, 0)
            if any(compressed) and values.any():
                assert stored_bytes(*encoding.encode(values, plan)) >= best


@pytest.mark.parametrize("length", [1, 4, 16])
def test_rows_are_stored_as_the_sparse_kernels_read_them(length):
    values = random_array((6, 32), 0.8, False, 0)
    plan = encoding.by_rows(values, 4, length)
    stored, sparsity = encoding.encode(values, plan)
    assert (plan.order, plan.compressed) == ((0, 1), (False, True))
    assert stored.size % length == 0
    assert stored_bytes(stored, sparsity) == plan.bytes
    np.testing.assert_array_equal(decode(stored, sparsity, values.shape), values)


def test_wide_axes_are_not_indexed_where_a_narrow_one_can_be():
    values = random_array((100, 1000), 0.95, False, 0)
    plan = encoding.cheapest(values, 1)
    assert plan.order == (1, 0)
    nonzero = np.count_nonzero(values)
    assert plan.bytes == 2 * nonzero + 2 * 1001


def test_blocks_cost_one_index_each():
    blocks = random_array((64, 32), 0.9, False, 0)
    values = np.repeat(blocks, 4, axis=1)
    plan = encoding.cheapest(values, 4)
    nonzero = np.count_nonzero(blocks)
    assert plan.block == (1, 4)
    assert plan.count == 4 * nonzero
    assert plan.bytes < 17 * nonzero + 2 * 65 + 1


def test_only_live_rows_have_segments_where_most_are_dead():
    values = np.zeros((1000, 50), np.float32)
    values[::100] = 1
    plan = encoding.cheapest(values, 4)
    assert plan.bytes < values[::100].nbytes + 100
