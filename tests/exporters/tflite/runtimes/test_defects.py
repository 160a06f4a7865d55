"""What TensorFlow's own sparse conversion gets wrong, each beside the same weights exported by us.

The stock files run in a process of their own: some of them end it.
"""

import numpy as np
import pytest
import sample_files

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import inspection
from keras_lottery.exporters.tflite.conversion import reference
from keras_lottery.exporters.tflite.format import encoding, flatbuffer, levels
from keras_lottery.exporters.tflite.runtimes import interpreter

WRONG, CORRECT, REFUSED = "wrong", "correct", "failed to prepare"

# The defect, the stock converter's mode and the network, what the runtimes make of that file, with
# XNNPACK and with built-in kernels, and our target and precision for the same wish.
CASES = [
    (
        "never unpacked",
        "float16",
        {"block": 4, "sparsity": 0.9},
        (WRONG, WRONG),
        ("size", "float16"),
    ),
    ("never unpacked", "float16", {"sparsity": 0.985}, (WRONG, WRONG), ("size", "float16")),
    (
        "claimed by XNNPACK",
        "dynamic int8",
        {"inputs": 128, "hidden": 128, "block": 16, "sparsity": 0.9},
        (WRONG, CORRECT),
        ("latency", "int8"),
    ),
    (
        "refused by XNNPACK",
        "dynamic int8",
        {"inputs": 64, "hidden": 64},
        (REFUSED, CORRECT),
        ("size", "int8"),
    ),
    (
        "refused by XNNPACK",
        "int8",
        {"inputs": 64, "hidden": 64},
        (REFUSED, CORRECT),
        ("int8", None),
    ),
    (
        "cut off",
        "float32",
        {"inputs": 66, "hidden": 64, "block": 4, "sparsity": 0.95},
        (WRONG, WRONG),
        ("latency", "float32"),
    ),
    (
        "cut off",
        "int8",
        {"inputs": 120, "hidden": 64, "block": 16, "sparsity": 0.95},
        (None, WRONG),
        ("int8", None),
    ),
    (
        "too many blocks",
        "dynamic int8",
        {"inputs": 8192, "hidden": 32, "block": 16, "sparsity": 0.9},
        (None, WRONG),
        ("latency", "int8"),
    ),
]


def outcome(result, expected):
    """`CORRECT`, `WRONG`, or the words of a runtime that gives up."""
    if isinstance(result, str):
        # A process that such a file ends has computed no right answer either.
        return WRONG if "signal" in result else result
    error = np.abs(result[0] - expected).max() / np.abs(expected).max()
    return CORRECT if error < 0.1 else WRONG


@pytest.mark.parametrize(("kind", "mode", "network", "outcomes", "ours"), CASES)
@pytest.mark.long
def test_the_stock_file_fails_as_said_and_ours_does_not(
    kind, mode, network, outcomes, ours, tmp_path
):
    model = sample_files.dense_network(**network)
    samples = np.random.default_rng(0).random((16, *model.input_shape[1:]), np.float32)
    [expected] = reference.answers(model, samples)

    data = sample_files.stock_file(mode, **network)
    results = interpreter.invoke_apart(data, [samples])
    for runtime, said in zip(interpreter.RUNTIMES, outcomes, strict=True):
        if said is not None:
            assert said in outcome(results[runtime], expected)
    defects = tflite.inspect(data).inspection.defects
    assert kind in {defect.kind for defect in defects}
    assert all(defect.tensor and defect.cause and defect.effects for defect in defects)

    path = tmp_path / "ours.tflite"
    target, precision = ours
    report = tflite.export(model, path, target=target, precision=precision, samples=samples)
    assert max(report.proof.errors.values()) < 0.1
    assert not report.inspection.defects


@pytest.mark.parametrize(("alive", "kinds"), [(255, []), (256, ["too many blocks"])])
def test_a_row_of_more_blocks_than_a_byte_counts_is_a_defect(alive, kinds):
    """At 4,096 inputs every block can be numbered, yet not all 256 can be counted."""
    values = np.zeros((16, 4096), np.int8)
    values[:, : 16 * alive] = 1
    file = flatbuffer.read(
        sample_files.stock_file("dynamic int8", inputs=4112, block=16, sparsity=0.9)
    )
    [sparse] = [t for _, _, t in flatbuffer.constants(file) if levels.shape(t) == (16, 4112)]
    stored, sparse.sparsity = encoding.encode(values, encoding.by_rows(values, 1, length=16))
    sparse.shape = np.array(values.shape, np.int32)
    file.buffers[sparse.buffer].data = stored.reshape(-1).view(np.uint8)
    found = inspection.read(flatbuffer.write(file)).defects
    assert [defect.kind for defect in found if defect.kind == "too many blocks"] == kinds


def test_a_sound_file_of_each_mode_has_no_defect():
    for mode in ("float32", "float16", "dynamic int8", "int8"):
        data = sample_files.stock_file(mode, sparse=False)
        assert inspection.read(data).defects == ()
