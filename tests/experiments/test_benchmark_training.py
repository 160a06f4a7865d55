"""The benchmark of training, run small, in a process of its own: it defines flags."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """The ways of all rows that the benchmark prints, and its error output."""
    command = [sys.executable, "-m", "experiments.benchmark_training", "--quick", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    cells = [line.split("│")[1:-1] for line in result.stdout.splitlines() if "│" in line]
    return [[cell.strip() for cell in row] for row in cells], result.stderr


def test_a_row_for_every_way_with_ratios_to_fit_and_to_the_loop():
    rows, error = run("--table=speed", "--networks=lenet_300_100", "--batch_sizes=8")
    assert [row[1] for row in rows] == [
        "plain_fit",
        "fit_100_steps",
        "kl_fit (graph)",
        "kl_fit_masked (graph)",
        "hand_written",
    ], error
    assert rows[0][4] == "1.000" and rows[4][5] == "1.000"


def test_a_word_that_is_no_flag_is_refused():
    rows, error = run("100")
    assert not rows
    assert "Unexpected '100': every setting is a flag" in error


@pytest.mark.long
def test_masks_tfmot_and_memory():
    rows, error = run(
        *("--table=masks", "--table=tfmot", "--table=memory"),
        *("--masked_networks=lenet_300_100", "--batch_sizes=8"),
    )
    ways = [row[1] for row in rows[:5]] + [row[0] for row in rows[5:]]
    assert ways == [
        *("plain_fit", "fit_masked", "fit_masked_by_callback"),
        *("tf_keras fit", "prune_low_magnitude"),
        *("data_alone", "plain_fit", "kl_fit"),
    ], error
