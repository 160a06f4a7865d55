"""The report as text, JSON and Markdown, and what it promises."""

import json
import re

import numpy as np
import pytest
import sample_files

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import expectations, report
from keras_lottery.exporters.tflite.proof import Proof
from keras_lottery.exporters.tflite.runtimes import measure


@pytest.fixture
def found():
    data = sample_files.stock_file("float32")
    return report.build(
        data,
        path="lenet.tflite",
        target="size",
        precision="float32",
        dense_data=sample_files.stock_file("float32", sparse=False),
        dense_int8_data=sample_files.stock_file("int8", sparse=False),
        reasons={"output": "because"},
        proof=Proof({"XNNPACK": 1e-7, "built-in kernels": 0.0}, agreement=1.0),
        notes=["a note"],
    )


def test_the_table_says_what_was_asked_for(found):
    text = str(found)
    assert text.startswith("lenet.tflite (size, float32): 79.9% of the values in 2 weights")
    data = sample_files.stock_file("float32")
    assert re.search(rf"^this file +{len(data):,} ", text, re.MULTILINE)
    for part in (
        "dense float32",
        "dense int8",
        "entropy bound",
        "CSR of axis 1, uint8",
        "XNNPACK: differs from Keras by 1e-07",
        "100.0% of the compared predictions",
        "- output: because",
        "- a note",
    ):
        assert part in text


def test_a_weight_that_the_export_left_alone_has_a_reason_too(found):
    assert found.reasons["output"] == "because"
    for weight in found.inspection.weights:
        assert found.reasons[weight.name].startswith("left dense")


def test_integers_are_said_to_be_exact():
    data = sample_files.stock_file("int8", sparse=False)
    exact = Proof({"XNNPACK": 0.01}, exact=True)
    assert "to the bit what the same integers give" in str(report.build(data, proof=exact))


def test_a_foreign_file_needs_nothing_but_its_bytes():
    text = str(report.build(sample_files.stock_file("float32")))
    assert "stored densely, about" in text
    assert "Proof" not in text
    assert "Why" not in text


def test_no_speed_is_promised_where_the_runtime_unpacks(found):
    assert expectations.sentences(found.inspection) == [
        "2 of 2 weights: smaller on disk only. XNNPACK, the default, unpacks them once, when it "
        "loads the file. Then it is no faster than with dense weights; loading takes a little more "
        "memory and time.",
        "Not for TensorFlow Lite Micro: it lacks DENSIFY, and does not load this.",
    ]


def test_a_dense_file_suits_every_runtime():
    found = report.build(sample_files.stock_file("float32", sparse=False))
    assert expectations.sentences(found.inspection) == [
        "2 of 2 weights: stored and computed densely."
    ]


def test_sparse_kernels_are_told_from_unpacked_ones():
    found = report.build(sample_files.stock_file("float32", block=4, sparsity=0.9))
    expected, micro = expectations.sentences(found.inspection)
    assert expected.startswith("2 of 2 weights: computed sparsely")
    assert "from 69% zeros in blocks of four, and from 94% without" in expected
    assert micro.endswith("it ignores sparsity, and would be wrong.")


def test_xnnpacks_path_is_conditional_on_the_cpu():
    text = str(report.build(sample_files.separable_file()))
    assert "Every condition on the file holds" in text
    assert "an ARM CPU, WebAssembly or an x86 CPU without AVX" in text


def test_defects_are_grouped_by_cause():
    text = str(report.build(sample_files.stock_file("int8")))
    assert text.count("- refused by XNNPACK: FULLY_CONNECTED with int8 weights behind DENSIFY") == 1
    assert "LiteRT.js: zeros, without an error" in text


def test_json_has_everything(found):
    content = json.loads(found.to_json())
    assert content["target"] == "size"
    assert content["dense_size"]["raw"] == len(sample_files.stock_file("float32", sparse=False))
    inspected = content["inspection"]
    assert inspected["file_bytes"] == len(sample_files.stock_file("float32"))
    assert inspected["entropy_bytes"] < inspected["file_bytes"] < inspected["dense_bytes"]
    assert content["proof"]["errors"] == {"XNNPACK": 1e-7, "built-in kernels": 0.0}
    assert inspected["weights"][0]["computed"] == "unpacked, dense"
    assert content["expectations"] == expectations.sentences(found.inspection)


def test_markdown_tables_are_whole(found):
    lines = found.to_markdown().splitlines()
    assert "## Weights" in lines
    table = [line for line in lines if line.startswith("|")]
    assert "| dense float32 |" in found.to_markdown()
    for line in table:
        assert line.endswith("|")


def test_measurements_are_shown_or_how_to_get_them(found):
    assert "Not measured: pass measure=True to export()" in str(found)
    measured = found.measured(
        [
            measure.Measurement("a.tflite", "XNNPACK", 2e-6, 1.5e-6, 9e-6, 4096, 0.0012),
            measure.Measurement("b.tflite", "XNNPACK", failure="does not load"),
        ]
    )
    text = str(measured)
    assert "a.tflite  XNNPACK        2.0  1.5 to 9.0     4,096      1.2" in text
    assert "does not load" in text
    assert "Not measured" not in text
    assert json.loads(measured.to_json())["measurements"][0]["median"] == 2e-6


def test_a_file_in_full_int8_dequantizes_no_weight(tmp_path):
    """Its only DEQUANTIZE is that of its output."""
    x = np.random.default_rng(0).random((32, 128), np.float32)
    model = sample_files.dense_network(inputs=128, hidden=128, sparsity=0.9)
    found = tflite.export(model, tmp_path / "m.tflite", target="int8", samples=x).inspection
    assert {"DENSIFY", "DEQUANTIZE"} <= set(found.operators)
    assert not any("at every run" in each for each in expectations.sentences(found))


@pytest.mark.parametrize(("precision", "anew"), [("float32", 0), ("float16", 1), ("int8", 1)])
def test_slow_runtimes_are_named(precision, anew, tmp_path):
    """The built-in kernels dequantize what DENSIFY has unpacked at every run."""
    model = sample_files.dense_network(inputs=64, hidden=100, sparsity=0.9)
    made = tflite.export(model, tmp_path / "x.tflite", precision=precision)
    found = [each for each in expectations.sentences(made.inspection) if "at every run" in each]
    assert len(found) == anew
    assert all("Without XNNPACK the built-in kernels dequantize" in each for each in found)


def test_one_weight_has_one_number_of_bytes(tmp_path):
    """What unpacking it takes is said beside its bytes, not in them."""
    model = sample_files.dense_network(inputs=64, hidden=100, sparsity=0.9)
    samples = np.random.default_rng(0).random((16, 64))
    for target in ("size", "int8", "micro"):
        made = tflite.export(model, tmp_path / f"{target}.tflite", target=target, samples=samples)
        for weight in made.inspection.weights:
            assert made.reasons[weight.name].startswith(f"{weight.stored_bytes:,} bytes")
