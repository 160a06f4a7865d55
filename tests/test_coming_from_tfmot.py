"""The page for those who come from tfmot runs, in a process of its own."""

import importlib.util
import pathlib
import re

import keras
import pytest

PAGE = pathlib.Path(__file__).parents[1] / "docs/coming_from_tfmot.md"


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="tensorflow-model-optimization is not installed: pip install 'keras_lottery[tfmot]'",
)
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tfmot is TensorFlow's")
def test_the_page_runs(run_python, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 4
    printed = run_python("\n".join(blocks), PYTHONWARNINGS="ignore")
    assert "'fc1/kernel': 0.8" in printed
    assert (tmp_path / "from_tfmot.ticket").exists()
