"""The example of docs/several_machines.md, in two processes on this machine."""

import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def example():
    page = (ROOT / "docs" / "several_machines.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return code


@pytest.mark.long
def test_masks_and_weights_of_two_processes_are_equal_to_the_bit(tmp_path):
    (tmp_path / "example.py").write_text(example())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    workers = [
        subprocess.Popen(
            [sys.executable, "example.py", address, str(number)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        for number in range(2)
    ]
    said = []
    for worker in workers:
        out, error = worker.communicate(timeout=180)
        assert worker.returncode == 0, error[-3000:]
        said.append(out.splitlines()[-1])
    assert said[0] == said[1]
    # geometric(0.3) prunes three times: round(0.657 * 128) and round(0.657 * 16) in all.
    assert said[0].startswith("{'dense/kernel': 44, 'dense_1/kernel': 5} ")
