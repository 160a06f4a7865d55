"""What TensorFlow's own sparse conversion gets wrong, each beside the same weights exported by us.

The stock files run in a process of their own: some of them end it.
"""

import numpy as np
import pytest
import sample_files

from export import stock
from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.conversion import reference
from keras_lottery.exporters.tflite.runtimes import interpreter

# Kind -> the stock converter's mode, the network, our target and precision for the same wish, and
# the runtimes that the stock file fails in.
CASES = {
    "A": ("float16", {"block": 4, "sparsity": 0.9}, ("size", "float16"), interpreter.RUNTIMES),
    "A, without blocks": (
        "float16",
        {"sparsity": 0.985},
        ("size", "float16"),
        interpreter.RUNTIMES,
    ),
    "B": (
        "dynamic int8",
        {"inputs": 128, "hidden": 128, "block": 16, "sparsity": 0.9},
        ("latency", "int8"),
        ["XNNPACK"],
    ),
    "C": ("dynamic int8", {"inputs": 64, "hidden": 64}, ("size", "int8"), ["XNNPACK"]),
    "C, in full integers": ("int8", {"inputs": 64, "hidden": 64}, ("int8", None), ["XNNPACK"]),
    "D": (
        "float32",
        {"inputs": 66, "hidden": 64, "block": 4, "sparsity": 0.95},
        ("latency", "float32"),
        interpreter.RUNTIMES,
    ),
    "D, in full integers": (
        "int8",
        {"inputs": 120, "hidden": 64, "block": 16, "sparsity": 0.95},
        ("int8", None),
        interpreter.RUNTIMES,
    ),
    "E": (
        "dynamic int8",
        {"inputs": 8192, "hidden": 32, "block": 16, "sparsity": 0.9},
        ("latency", "int8"),
        ["built-in kernels"],
    ),
}


def largest_error(result, expected):
    """Of the outputs, in multiples of the largest one; infinite if there are none."""
    if isinstance(result, str) or not np.isfinite(result[0]).all():
        return np.inf
    return np.abs(result[0] - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("kind", CASES)
def test_the_stock_file_fails_and_ours_does_not(kind, tmp_path):
    mode, network, (target, precision), failing = CASES[kind]
    model = sample_files.dense_network(**network)
    samples = np.random.default_rng(0).random((16, *model.input_shape[1:]), np.float32)
    [expected] = reference.answers(model, samples)

    data = stock.convert(model, mode, samples)
    results = interpreter.invoke_apart(data, [samples])
    errors = {name: largest_error(result, expected) for name, result in results.items()}
    assert all(errors[name] > 0.2 for name in failing), errors
    assert kind[0] in {defect.kind for defect in tflite.inspect(data).defects}

    path = tmp_path / "ours.tflite"
    report = tflite.export(model, path, target=target, precision=precision, samples=samples)
    assert max(report.proof.errors.values()) < 0.1
    assert not report.inspection.defects
