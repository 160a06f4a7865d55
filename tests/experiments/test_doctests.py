"""Of the folders of scripts, which no installed package has; pytest runs keras_lottery's itself."""

import doctest
import importlib
import pathlib

import pytest

import experiments

ROOT = pathlib.Path(experiments.__file__).parent.parent
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("experiments", "export")
    for path in sorted(ROOT.joinpath(folder).rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_documentation_run(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0
