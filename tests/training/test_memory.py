from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from keras_lottery.training import fit, memory

TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.mark.parametrize("expected", [1, 3, 10])
def test_a_column_holds_what_was_appended_however_many_it_expected(expected):
    column = memory.Column((expected, 2), "float32")
    for part in (np.ones((1, 2)), np.full((2, 2), 2.0), np.full((4, 2), 3.0)):
        column.append(part)
    values = keras.ops.convert_to_numpy(column.take())
    assert values.dtype == "float32"
    assert values.tolist() == [[1, 1]] + [[2, 2]] * 2 + [[3, 3]] * 4


def test_a_column_is_empty_once_it_was_taken():
    column = memory.Column((2,), "int32")
    column.append(np.array([1, 2]))
    taken = column.take()
    column.append(np.array([7]))
    assert keras.ops.convert_to_numpy(taken).tolist() == [1, 2]
    assert keras.ops.convert_to_numpy(column.take()).tolist() == [7]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "float32", "float64"])
def test_floats_become_floatx_and_others_stay(dtype):
    array = np.array([[0, 1], [1, 0]], dtype)
    converted = memory.tensor(array)
    is_float = dtype.startswith("float")
    assert keras.backend.standardize_dtype(converted.dtype) == ("float32" if is_float else dtype)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(converted), array)


def test_a_column_of_what_numpy_does_not_know():
    column = memory.Column((2,), "bfloat16")
    column.append(np.array([1.0, 2.0]))
    taken = column.take()
    assert keras.backend.standardize_dtype(taken.dtype) == "bfloat16"
    assert keras.ops.convert_to_numpy(taken).tolist() == [1, 2]


@pytest.mark.parametrize("like", ["C", "F", "aligned", "big-endian", "backwards"])
def test_the_callers_array_is_never_shared(like):
    array = np.array([[1.0, 2.0], [3.0, 4.0]], "float32", order="F" if like == "F" else "C")
    if like == "aligned":  # as backends want it, to share it
        aligned = memory._aligned(array.shape, "float32")
        aligned[:], array = array, aligned
    elif like == "big-endian":
        array = array.astype(">f4")
    elif like == "backwards":
        array = array[::-1, ::-1].copy()[::-1, ::-1]
    converted = memory.tensor(array)
    array[:] = 0
    assert keras.ops.convert_to_numpy(converted).tolist() == [[1, 2], [3, 4]]


def test_a_tensor_stays_as_it_is():
    tensor = keras.ops.ones((3, 2))
    assert memory.tensor(tensor) is tensor
    assert keras.backend.standardize_dtype(memory.tensor(keras.ops.ones(3, "float16")).dtype) == (
        "float32"
    )


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="on torch, fit is model.fit")
def test_data_changed_between_two_calls_is_seen():
    x, y = tiny.samples()
    model, other = tiny.dense(), tiny.dense()
    fit(model, x, y, verbose=0)
    fit(other, x, y, verbose=0)
    x[:] = x[::-1].copy()
    history = fit(model, x, y, verbose=0)
    tiny.assert_same(model, history, other, fit(other, x.copy(), y, verbose=0), 0)


PEAKS = """
import pathlib, re
import keras, numpy as np, tensorflow as tf
from keras_lottery import fit

COUNT, FEATURES = 50_000, 500
NBYTES = COUNT * FEATURES * 4
model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(2)])
model.compile("sgd", "mse")

def memory(kind):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(kind + r":\\s+(\\d+) kB", status)[1]) * 1024

def dataset(count):
    indices = tf.data.Dataset.range(count).batch(500)
    x = indices.map(lambda i: tf.cast(tf.repeat(i[:, None], FEATURES, axis=1), "float32") / count)
    return (x.map(lambda x: (x, x[:, :2])),)

x, y = np.ones((COUNT, FEATURES)), np.ones((COUNT, 2), "float32")
single = x.astype("float32")
sources = {
    "dataset": dataset,
    "float32": lambda count: (single[:count], y[:count]),
    "float64": lambda count: (x[:count], y[:count]),
}
for name, source in sources.items():
    fit(model, *source(1000), batch_size=500, verbose=0)  # to compile
    data = source(COUNT)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    before = memory("VmRSS")
    fit(model, *data, batch_size=500, verbose=0, fused="always")
    print(name, (memory("VmHWM") - before) / NBYTES)
"""


@pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow's memory")
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak")
@pytest.mark.long
def test_training_takes_the_memory_of_the_data_once(run_python):
    """Beside the caller's own array, and the peak included."""
    peaks = dict(line.split() for line in run_python(PEAKS).splitlines())
    assert peaks.keys() == {"dataset", "float32", "float64"}
    assert all(0.9 < float(peak) < 1.5 for peak in peaks.values()), peaks
