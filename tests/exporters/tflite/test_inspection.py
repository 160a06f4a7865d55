"""What a file's weights cost and how they are computed; and the stock converter's five defects."""

import keras
import model_kinds
import numpy as np
import pytest
import sample_files

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import inspection, stored_weight
from keras_lottery.exporters.tflite.format import flatbuffer


def by_operator(found):
    return {w.operator: w for w in found.weights}


def test_an_unstructured_float_file_is_unpacked():
    data = sample_files.stock_file("float32")
    found = inspection.read(data)
    first = next(w for w in found.weights if w.shape == (16, 32))
    assert first.encoding == "CSR of axis 1, uint8"
    assert first.computed == stored_weight.UNPACKED
    alive = np.count_nonzero(sample_files.dense_network().layers[0].kernel.numpy())
    assert first.value_bytes == 4 * alive
    # A byte for every index, and one for every row's segment and the end.
    assert first.index_bytes == alive + 17
    assert first.dense_bytes == 4 * 16 * 32
    assert first.sparsity == pytest.approx(1 - alive / 512)
    # As stored, as DENSIFY writes it, and as XNNPACK packs it.
    assert first.memory == first.stored_bytes + 2 * first.dense_bytes
    assert found.defects == ()
    assert found.file_bytes == len(data)
    assert found.operators["DENSIFY"] == 2


def test_block_sparse_float_is_computed_sparsely():
    found = inspection.read(sample_files.stock_file("float32", block=4, sparsity=0.9))
    assert [w.computed for w in found.weights] == [stored_weight.SPARSE] * 2
    assert {w.encoding for w in found.weights} == {"1x4 blocks, CSR of axis 1, uint8"}
    assert all(w.memory == w.stored_bytes for w in found.weights)


def test_a_file_is_named_by_its_path_or_given_as_bytes(tmp_path):
    path = tmp_path / "stock.tflite"
    path.write_bytes(sample_files.stock_file("float32"))
    found = inspection.read(path.read_bytes())
    assert tflite.inspect(path).inspection == tflite.inspect(str(path)).inspection == found
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        tflite.inspect(tmp_path / "elsewhere.tflite")


def test_tflite_micros_bitmask_is_decoded_at_each_run(tmp_path):
    model = sample_files.dense_network(inputs=128, hidden=64, sparsity=0.9)
    samples = np.random.default_rng(0).random((8, 128), np.float32)
    tflite.export(model, tmp_path / "micro.tflite", target="micro", samples=samples)
    found = inspection.read((tmp_path / "micro.tflite").read_bytes())
    first = next(w for w in found.weights if w.shape == (64, 128))
    assert (first.encoding, first.computed) == ("bitmask", stored_weight.DECODED)
    alive = round((1 - first.sparsity) * 64 * 128)
    assert 0.89 < first.sparsity < 0.92
    assert first.value_bytes == alive
    assert first.index_bytes == 64 * 128 // 8 + 16


def test_a_dense_file_is_dense():
    data = sample_files.stock_file("float32", sparse=False)
    found = inspection.read(data)
    assert {(w.computed, w.encoding) for w in found.weights} == {(stored_weight.DENSE, "dense")}
    assert found.dense_bytes == len(data)


def test_the_entropy_bound_of_a_fair_coin():
    # Eight of sixteen weights alive, all equal: one bit for each position, none for the values.
    model, tensor = sample_files.tensor(sample_files.stock_file("int8", False))
    values = np.zeros((4, 4), np.int8)
    values[:2] = 7
    tensor.shape = np.array([4, 4], np.int32)
    model.buffers[tensor.buffer].data = values.reshape(-1).view(np.uint8)
    found = inspection.read(flatbuffer.write(model))
    assert next(w for w in found.weights if w.shape == (4, 4)).entropy_bytes == 2


def test_floats_are_incompressible_in_the_bound():
    found = inspection.read(sample_files.stock_file("float32"))
    for w in found.weights:
        assert w.value_bytes < w.entropy_bytes < w.stored_bytes


def test_what_a_loop_begins_with_is_no_weight(tmp_path):
    model = model_kinds.prune(model_kinds.lstm())
    report = tflite.export(model, tmp_path / "x.tflite")
    assert {w.name.rpartition("/")[2] for w in report.inspection.weights} == {
        "kernel",
        "recurrent_kernel",
    }


def test_a_kernel_of_one_output_is_a_weight(tmp_path):
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(1, name="score")])
    report = tflite.export(model, tmp_path / "x.tflite")
    assert [w.name for w in report.inspection.weights] == ["score/kernel"]
