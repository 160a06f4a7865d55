"""The benchmark of shrinking, run short, in a process of its own: it defines flags."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "experiments.benchmark_shrinking", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


@pytest.mark.long
def test_what_goes_and_a_row_for_each_file_and_runtime():
    result = run("--seconds=0", "--sparsity=0.9")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    # 6 of 64 and 13 of 128 are alive; before each border one constant unit stays.
    assert [line.split()[3:] for line in lines[1:5]] == [
        ["64", "7"],
        ["64", "7"],
        ["128", "14"],
        ["128", "13"],
    ]
    table = [line.split()[:2] for line in lines[-4:]]
    assert table == [
        ["pruned.tflite", "XNNPACK"],
        ["shrunk.tflite", "XNNPACK"],
        ["pruned.tflite", "built-in"],
        ["shrunk.tflite", "built-in"],
    ]


def test_a_word_that_is_no_flag_is_refused():
    result = run("0.9")
    assert result.returncode != 0
    assert "Unexpected '0.9': every setting is a flag" in result.stderr
