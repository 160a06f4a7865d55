"""The README's Python blocks run, in order, as a reader would paste them."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_snippets_run_in_order(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="the README's data are scikit-learn's digits")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 6
    namespace = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README block {number}", "exec"), namespace)
    assert (tmp_path / "digits.ticket").exists()
    assert (tmp_path / "digits.tflite").exists()
    assert 0.89 < namespace["prune"].lottery.sparsity < 0.91
