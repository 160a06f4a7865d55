"""100 kills at random moments over 8 settings: none may end in silence as something else."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from killing import SETTINGS

ROOT = pathlib.Path(__file__).parents[2]
KILLS = 13  # of each setting: 104 in all

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked"),
]


@pytest.mark.parametrize("name", SETTINGS)
def test_random_kills(name, tmp_path):
    """Every training ends as the one that nobody killed, or refuses and says what to do."""
    folder = tmp_path / "training"
    folder.mkdir()
    rng = np.random.default_rng(list(SETTINGS).index(name))
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": keras.backend.backend(),
    }
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "search" / "killing.py"), str(folder), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:

        def train(seconds=float("inf")):
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        def begin_anew():
            for file in folder.iterdir():
                shutil.rmtree(file) if file.is_dir() else file.unlink()

        whole = train()
        assert whole["at"] == "end"
        kills, refusals, ends = 0, [], 0
        while kills < KILLS:
            # The longest are killed at or after the end, where one callback has removed its file.
            answer = train(rng.uniform(0, 0.5 * whole["seconds"]))
            if answer["at"] == "killed":
                kills += 1
                continue
            if answer["at"] == "error":
                refusals.append(answer["error"])
                assert "anew" in answer["error"]
            else:
                assert answer["digest"] == whole["digest"]
                ends += 1
            begin_anew()
        answer = train()
        if answer["at"] == "error":
            refusals.append(answer["error"])
            assert "anew" in answer["error"]
        else:
            assert answer["digest"] == whole["digest"]
            assert not list(folder.glob(".*"))
        process.stdin.close()
    print(f"{name}: {kills} kills, {ends} ends in between, {len(refusals)} refusals: {refusals}")
