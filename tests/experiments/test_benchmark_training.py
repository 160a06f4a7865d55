"""The benchmark of training, run small, in a process of its own: it defines flags."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """The ways of all rows that the benchmark prints, and its error output."""
    command = [sys.executable, "-m", "experiments.benchmark_training", "--quick", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    rows = [re.split(r"  +", line) for line in result.stdout.splitlines()]
    first = ("lenet_300_100", "arrays", "tf.data")
    return [row for row in rows if row[0].startswith(first)], result.stderr


@pytest.mark.long
def test_a_row_for_every_way_with_ratios_to_fit_and_to_the_loop():
    rows, error = run("--table=speed", "--networks=lenet_300_100", "--batch_sizes=8")
    assert [row[1] for row in rows] == [
        "plain_fit",
        "fit_100_steps",
        "kl_fit (graph)",
        "kl_fit_masked (graph)",
        "hand_written",
    ], error
    assert rows[0][4] == rows[4][5] == rows[2][6] == "1.000"
    assert float(rows[3][6]) > 0


ALL = "lenet_300_100, conv2, conv4, resnet20"
MORE = [
    pytest.param(flag, ALL, marks=pytest.mark.long)
    for flag in ("--networks=conv6", "--gradient_networks=alexnet")
]


@pytest.mark.parametrize(
    ("flag", "known"),
    [
        *MORE,
        ("--masked_networks=lenet_300_100,foo", "lenet_300_100, conv4"),
    ],
)
def test_a_network_that_is_not_measured_is_answered_with_those_that_are(flag, known):
    rows, error = run(flag)
    assert not rows
    assert f"there are {known} to measure" in error
    assert "Traceback" not in error


def test_a_word_that_is_no_flag_is_refused():
    rows, error = run("100")
    assert not rows
    assert "Unexpected '100': every setting is a flag" in error


@pytest.mark.long
def test_masked_gradients_beside_masked_weights_alone():
    rows, error = run(
        "--table=gradients", "--gradient_networks=lenet_300_100", "--batch_sizes=8", "--repeats=15"
    )
    assert [row[1] for row in rows] == [
        *("plain_fit", "fit_weights_masked", "fit_masked"),
        *("kl_fit (graph)", "kl_fit_weights_masked (graph)", "kl_fit_masked (graph)"),
    ], error
    whole = "1.000 (1.000, 1.000)"
    assert rows[0][4] == rows[1][5] == rows[3][4] == rows[4][5] == whole
    assert re.fullmatch(r"\d+\.\d{3} \(\d+\.\d{3}, \d+\.\d{3}\)", rows[5][5])


@pytest.mark.long
def test_masks_tfmot_and_memory():
    rows, error = run(
        *("--table=masks", "--table=tfmot", "--table=memory"),
        *("--masked_networks=lenet_300_100", "--batch_sizes=8"),
    )
    assert [row[1] for row in rows] == [
        *("plain_fit", "fit_masked", "fit_masked_by_callback"),
        *("tf_keras fit", "prune_low_magnitude"),
        *("plain_fit", "kl_fit") * 2,
    ], error


@pytest.mark.long
def test_the_rule_is_checked_for_each_network():
    rows, error = run("--table=rule", "--networks=lenet_300_100", "--batch_sizes=8")
    assert [row[1] for row in rows] == ["kl_fit_by_xla", "kl_fit_by_graph"], error
