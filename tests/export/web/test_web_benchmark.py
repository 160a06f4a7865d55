import keras
import numpy as np
import pytest
from page_server import needs_litert

import keras_lottery as kl
from export import benchmark_encoding
from export.web import benchmark, benchmark_mobilenet, browser
from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.rewriting import channels_last

pytestmark = [pytest.mark.long, needs_litert]


@pytest.fixture(autouse=True)
def needs_browser():
    lack = browser.missing()
    if lack:
        pytest.skip(lack)


def test_files_side_by_side(models):
    paths = [models / "dense.tflite", models / "smallest.tflite"]
    dense, smallest = benchmark.benchmark(paths, rounds=3, block_ms=2)
    assert dense.speedup == 1 and dense.difference == 0
    assert 0 < smallest.low <= smallest.median <= smallest.high
    assert smallest.difference > 0
    lines = benchmark.table([dense, smallest]).splitlines()
    assert [line.split()[0] for line in lines] == ["file", "dense.tflite", "smallest.tflite"]


def test_damaged_file(models, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes((models / "dense.tflite").read_bytes()[:5000])
    with pytest.raises(RuntimeError, match="cannot run these files"):
        benchmark.benchmark([models / "dense.tflite", damaged], rounds=1, block_ms=1)


def test_files_of_different_networks(tmp_path):
    ten, twelve = tmp_path / "ten.tflite", tmp_path / "twelve.tflite"
    ten.write_bytes(benchmark_encoding.dense_file(0.5, widths=(8, 10)))
    twelve.write_bytes(benchmark_encoding.dense_file(0.5, widths=(8, 12)))
    with pytest.raises(ValueError, match=r"twelve\.tflite has 12 output values, .* 10"):
        benchmark.benchmark([ten, twelve], rounds=1, block_ms=1)


def test_sparse_mobilenet_is_the_dense_one(tmp_path):
    paths = benchmark_mobilenet.write_files(tmp_path, 0.9, shape=(32, 32, 3), width=0.25)
    dense, sparse = benchmark.benchmark(paths, rounds=1, block_ms=1)
    assert sparse.path.stat().st_size < dense.path.stat().st_size
    assert sparse.difference < 1e-5


def test_a_network_that_xnnpack_would_misread(tmp_path, monkeypatch):
    """Exported without the step that keeps it channels last it is wrong here, and right with it."""
    model = torn_network()
    paths = [tmp_path / name for name in ("dense.tflite", "kept.tflite", "misread.tflite")]
    paths[0].write_bytes(prepare(model).dense_data)
    tflite.export(model, paths[1])
    monkeypatch.setattr(channels_last, "keep", lambda model: ())
    tflite.export(model, paths[2])
    _, kept, misread = benchmark.benchmark(paths, rounds=1, block_ms=1)
    assert kept.difference < 1e-5
    assert misread.difference > 1e-3


def torn_network():
    """XNNPACK holds its first feature map channels first, and the addition reads it otherwise."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = x = keras.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(64, 1, activation="relu")(x) + np.linspace(0.1, 1, 64, dtype="float32")
    x = layers.Conv2D(64, 1, activation="relu")(x)
    model = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    kl.Lottery(model).prune(0.9)
    return kl.strip(model)
