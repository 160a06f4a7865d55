import pytest
from page_server import needs_litert

from export import benchmark_encoding
from export.web import benchmark, benchmark_mobilenet, browser

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
