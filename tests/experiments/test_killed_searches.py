"""Searches that are killed at random moments end with the bytes of one that nobody killed."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import sample_plans

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="children are forked")


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.long)])
def test_a_killed_search_ends_as_if_nothing_had_happened(tmp_path, kills):
    plan = sample_plans.small(iterations=8)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    with Searches(whole) as searches:
        seconds = searches.search()
        expected = content(whole, plan)
    rng = np.random.default_rng(kills)
    with Searches(parts) as searches:
        killed = 0
        while killed < kills:
            # Anew after an end: most kills come in the midst of the search.
            if searches.search(rng.uniform(0.1, 0.8) * seconds) is None:
                killed += 1
            elif content(parts, plan) == expected:
                shutil.rmtree(parts)
                parts.mkdir()
            else:
                break
        searches.search()
    assert content(parts, plan) == expected
    # Nothing half written, no lock and no checkpoint is left.
    assert {path.name for path in (parts / "pieces").iterdir()} == set(plan.names())


def content(folder, plan):
    pieces = [sample_plans.content(folder / "pieces", name) for name in plan.names()]
    return pieces, (folder / "ticket.tflite").read_bytes()


class Searches:
    """A process that searches in a folder as often as it is told; see `killing_searches.py`."""

    def __init__(self, folder):
        folder.mkdir()
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(pathlib.Path(__file__).with_name("killing_searches.py")),
                str(folder),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def search(self, seconds=float("inf")):
        """Return the seconds that a search took, or `None` if it was killed."""
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer and answer[0] != "failed", self.process.communicate()[1][-2000:]
        return float(answer[1]) if answer[0] == "end" else None
