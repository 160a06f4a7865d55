"""Exported files in LiteRT for arm64, emulated: whether its answers are right, never how fast.

On arm64 LiteRT has other kernels than on x86, and takes XNNPACK's sparse convolutions, which it
does not take beside AVX. `make arm64` sets up what these tests need; without it they are skipped.
"""

import functools
import importlib.metadata
import pathlib
import subprocess
import sys

import model_kinds
import numpy as np
import pytest
import sample_files

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import comparison, stored_weight, verify
from keras_lottery.exporters.tflite.conversion import reference

PYTHON = pathlib.Path(__file__).parents[3] / ".arm64" / "python"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="LiteRT for arm64 is not set up; `make arm64` does that"
    ),
]

# An early phone's, and one with every extension of the architecture that qemu knows: dot products,
# matrix products, SVE, SME.
PROCESSORS = ("cortex-a53", "max")


def dense(sparsity, block=1, inputs=64):
    return functools.partial(
        sample_files.dense_network, inputs=inputs, hidden=64, sparsity=sparsity, block=block
    )


def convolutional():
    return model_kinds.prune(model_kinds.sequential())


# Network, target, precision, and how one of the kernels is then stored and computed.
CASES = [
    (dense(0.9), "size", "float32", ("CSR of axis 1", stored_weight.UNPACKED)),
    (dense(0.9), "size", "float16", ("CSR of axis 1", stored_weight.UNPACKED)),
    (dense(0.9), "size", "int8", ("CSR of axis 1", stored_weight.UNPACKED)),
    (convolutional, "size", "int8", ("1x2 blocks", stored_weight.UNPACKED)),
    (dense(0.9, block=4, inputs=256), "latency", "float32", ("1x4 blocks", stored_weight.SPARSE)),
    (dense(0.9, block=16, inputs=256), "latency", "int8", ("1x16 blocks", stored_weight.SPARSE)),
    (dense(0.98, inputs=256), "latency", "float32", ("CSR of axis 1", stored_weight.SPARSE)),
    (
        sample_files.separable_network,
        "latency",
        "float32",
        ("CSR of axis 0", stored_weight.SPARSE_WITHOUT_AVX),
    ),
    (dense(0.9), "int8", None, ("CSR of axis 3", stored_weight.UNPACKED)),
    (convolutional, "int8", None, ("CSR of axis 3", stored_weight.UNPACKED)),
]

# How far from x86, as a fraction of the largest output; integers may be a step apart.
FLOATS, INTEGERS = 1e-5, 0.03

# Mode of TensorFlow's own converter, and a network of which it makes a wrong file.
BROKEN = [
    ("float16", {"block": 4, "sparsity": 0.9}),
    ("dynamic int8", {"inputs": 128, "hidden": 128, "block": 16, "sparsity": 0.9}),
]


@pytest.fixture(params=PROCESSORS)
def answers_on_arm64(request, monkeypatch):
    """`verify.answers`, but the Python that it starts to run a file is the emulated one."""

    def answers(data, inputs):
        monkeypatch.setattr(sys, "executable", str(PYTHON))
        monkeypatch.setenv("QEMU_CPU", request.param)
        return verify.answers(data, inputs)

    return answers


def examples(model):
    return np.random.default_rng(0).random((8, *model.input_shape[1:]), np.float32)


def test_the_runtime_differs_by_its_processor_alone():
    code = "import platform, importlib.metadata as m; print(platform.machine(), m.version({!r}))"
    done = subprocess.run(
        [PYTHON, "-c", code.format("ai-edge-litert")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["aarch64", importlib.metadata.version("ai-edge-litert")]


@pytest.mark.parametrize(("network", "target", "precision", "form"), CASES)
def test_a_file_answers_as_it_does_here(
    network, target, precision, form, answers_on_arm64, tmp_path
):
    """Here, the exporter has compared it with Keras."""
    model, path = network(), tmp_path / "model.tflite"
    samples = examples(model)
    report = tflite.export(model, path, target=target, precision=precision, samples=samples)
    assert form in {(w.encoding.split(",")[0], w.computed) for w in report.inspection.weights}
    data = path.read_bytes()
    [here] = verify.answers(data, [samples])["XNNPACK"]
    tolerance = INTEGERS if target == "int8" else FLOATS
    comparison.errors(answers_on_arm64(data, [samples]), [("scores", here)], tolerance)


@pytest.mark.parametrize(("mode", "network"), BROKEN)
def test_a_broken_file_is_found(mode, network, answers_on_arm64):
    model = sample_files.dense_network(**network)
    samples = examples(model)
    [expected] = reference.answers(model, samples)
    data = sample_files.stock_file(mode, **network)
    with pytest.raises(tflite.ExportError, match="XNNPACK"):
        comparison.errors(answers_on_arm64(data, [samples]), [("scores", expected)], 0.2)
