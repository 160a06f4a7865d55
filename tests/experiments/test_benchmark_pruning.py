"""The benchmark of the prune event, run small, in a process of its own: it defines flags."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "experiments.benchmark_pruning", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.long
def test_a_row_for_every_combination():
    result = run(
        "--table=event", "--weights=40000,80000", "--sparsity=0.5", "--dead=0,0.5", "--repeats=2"
    )
    assert result.returncode == 0, result.stderr
    rows = [line.split("│")[1:4] for line in result.stdout.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["40,000", "0%", "50%"],
        ["40,000", "50%", "50%"],
        ["80,000", "0%", "50%"],
        ["80,000", "50%", "50%"],
    ]


@pytest.mark.long
def test_a_model_is_pruned_in_a_process_of_its_own():
    result = run("--table=model", "--weights=40000", "--sparsity=0.5", "--repeats=1")
    assert result.returncode == 0, result.stderr
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if "│" in line]
    rows = [[cell.strip() for cell in row] for row in rows]
    # Rows of 1,000, and one kernel of 400.
    assert [row[:2] for row in rows] == [["40,400", "50%"]]
    assert all(float(row[2]) > 0 for row in rows)
    assert all(float(row[4]) >= float(row[5]) for row in rows)


def test_a_word_that_is_no_flag_is_refused():
    result = run("100")
    assert result.returncode != 0
    assert "Unexpected '100': every setting is a flag" in result.stderr
