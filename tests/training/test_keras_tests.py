"""Keras' own tests of callbacks, trainers and models, with `keras_lottery.fit` for `model.fit`.

Whatever passes with `model.fit` has to pass with `keras_lottery.fit`. (Some do not pass with
either: what they need beside Keras is not installed.)
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLUGINS = HERE / "keras_tests"
FOLDERS = ("callbacks", "trainers", "models")
# Of a fused way at least: nothing would fail if nothing were replaced.
LEAST_FUSED = 60


def files_that_train():
    """The files in Keras' wheel with tests that train."""
    source = Path(keras.__file__).parent / "src"
    files = sorted(file for folder in FOLDERS for file in (source / folder).glob("*_test.py"))
    return [file for file in files if re.search(r"\bfit\(", file.read_text())]


def outcomes(files, plugins, report):
    """`passed`, `skipped`, `failure` or `error` by the name of each test, and the output."""
    (report.parent / "empty.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", report.parent / "empty.ini"]
    command += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command += [part for plugin in plugins for part in ("-p", plugin)]
    command += [f"--junitxml={report}", *files]
    path = os.pathsep.join(map(str, (ROOT, PLUGINS)))
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        kinds = [part.tag for part in case if part.tag in ("failure", "error", "skipped")]
        found[f"{case.get('classname')}.{case.get('name')}"] = kinds[0] if kinds else "passed"
    return found, done.stdout


@pytest.mark.long
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="on torch, fit is model.fit")
def test_what_passes_with_keras_fit_passes_with_ours(tmp_path):
    files = files_that_train()
    assert files
    theirs, _ = outcomes(files, ["as_in_keras"], tmp_path / "theirs.xml")
    ours, output = outcomes(files, ["as_in_keras", "by_kl_fit"], tmp_path / "ours.xml")
    passed = {name for name, outcome in theirs.items() if outcome == "passed"}
    # Above all of the trainer, whose tests are half of them.
    assert len(passed) > 200
    [ways] = re.findall(r"^keras_lottery.fit trained by (.*)$", output, re.MULTILINE)
    print(f"{len(passed)} of {len(theirs)} pass with model.fit; keras_lottery.fit: {ways}")
    fused = sum(int(n) for n in re.findall(r"'(?:xla|graph|scan)': (\d+)", ways))
    assert fused >= LEAST_FUSED, ways
    assert {name: ours.get(name) for name in passed if ours.get(name) != "passed"} == {}
