"""One of each kind is added to a copy of the house, by a function or file, and its suites pass."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# To the end of a module.
FUNCTIONS = {
    "criteria": """
def largest_number(kernel: Kernel) -> Array:
    return kernel.current.copy()
""",
    "scopes": """
def layerwise_again(scores, masks, counts):  # type: ignore[no-untyped-def]
    return layerwise(scores, masks, counts)
""",
    "granularity": """
@maker
def rows() -> Granularity:
    return Granularity(
        name="rows()",
        rank=2,
        pool=lambda scores, mask: (
            _mean(np.where(mask, scores, 0).sum(axis=-1), mask.sum(axis=-1)),
            mask.any(axis=-1),
        ),
        spread=lambda pieces, mask: mask & pieces[..., np.newaxis],
        grows=True,
    )
""",
    "schedules": """
@maker
def linear(final: float, end: int) -> MadeSchedule:
    return MadeSchedule(lambda step: final * min(1.0, step / end))
""",
    "restart_from": """
def half(kernel: Kernel) -> Array:
    return kernel.initial / 2
""",
    "hold_at": """
def tenth(kernel: Kernel) -> Array:
    return kernel.initial / 10
""",
}
FILES = {
    "keras_lottery/scorers/weight.py": '''
"""The size of the weight, as a scorer (https://arxiv.org/abs/1803.03635)."""

import keras
import numpy as np

from keras_lottery.model import variables


def weight(model, data, rng):
    """`|w|`."""
    found = variables.candidates(model)
    return {name: np.abs(keras.ops.convert_to_numpy(one)) for name, one in found.items()}
''',
    "keras_lottery/search/controls/same.py": '''
"""The ticket itself."""


def same(control, fresh, start, seed):
    start.put(control, seed)
    control.set_masks(start.masks_of(control))
    control.rewind(start.action)
''',
    "experiments/networks/one_layer.py": '''
"""One layer."""

import keras

from experiments.networks import Optimizer, Preset, glorot

PRESET = Preset(
    optimizer=Optimizer("adam", 3e-3),
    batch_size=60,
    iterations=100,
    rate=0.2,
    overrides={},
    validation=200,
    evaluate_every=20,
)


def build(shape, classes, seed=0):
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(classes, name="output", kernel_initializer=glorot(seed, "output")),
        ]
    )
''',
    "experiments/methods/one_round.py": '''
"""One round of pruning, without controls."""

from experiments.methods import DENSE, TICKET, Planned
from experiments.methods._rounds import dense, pruned

USES = {"rate", "criterion"}


def plan(settings, experiment, seed):
    parent = dense(settings, experiment, seed)
    yield Planned(DENSE, 0, parent)
    yield Planned(TICKET, 1, pruned(settings, experiment, parent, lambda rate: rate))
''',
    "experiments/datasets/noise.py": '''
"""Noise of two classes."""

import numpy as np

from experiments.datasets import Dataset


def load():
    rng = np.random.default_rng(0)
    images = rng.random((60, 4, 4, 1), np.float32)
    classes = np.arange(60) % 2
    return Dataset(images[:40], classes[:40], images[40:], classes[40:], classes=2, name="noise")
''',
}
USED = """
import keras, numpy as np
import keras_lottery as kl
from experiments import datasets, methods, networks, settings
from experiments.experiment import Experiment, load

data = datasets.load("noise")
build = networks.get("one_layer").build

def make():
    model = build(data.shape, 2)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model

train = data.x_train, data.y_train
recipe = kl.Recipe(
    "largest_number",
    scope="layerwise_again",
    granularity=kl.granularity.rows(),
    restart_from="half",
    hold_at="tenth",
)
assert kl.Recipe.from_json(recipe.to_json()) == recipe
for r in kl.rounds(make, 1, 0.5, recipe):
    r.model.fit(*train, verbose=0)
assert r.alive_counts == {"output/kernel": 16}
assert np.array_equal(kl.Lottery.on(r.control("same")).masks["output/kernel"],
                      r.ticket.masks["output/kernel"])
prune = kl.Prune(kl.schedules.linear(0.5, end=2), "weight", data=train)
make().fit(*train, epochs=2, verbose=0, callbacks=[prune])
print(prune.lottery.sparsity)
chosen = settings.make(dataset="noise", network="one_layer", method="one_round", rate=0.5)
plan = methods.plan(chosen, Experiment(chosen.training, load(chosen.images)))
print([planned.variant for planned in plan])
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    for name in ("keras_lottery", "experiments", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.png")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    for module, source in FUNCTIONS.items():
        with (folder / f"keras_lottery/core/{module}.py").open("a") as file:
            file.write(source)
    for name, source in FILES.items():
        (folder / name).write_text(source.lstrip())
    return folder


def python(copy, *arguments):
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


def test_what_was_added_is_used(copy):
    assert python(copy, "-c", USED) == "0.5\n['dense', 'ticket']\n"


@pytest.mark.long
def test_the_suites_of_the_copy_pass(copy):
    """And find what was added by themselves."""
    out = python(
        copy,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long", "-n", "2"),
        "--ignore-glob=*/conftest.py",  # as modules with doctests
        *("tests/test_contracts.py", "tests/test_floors.py", "tests/core", "tests/scorers"),
        *("tests/search/test_controls.py", "tests/experiments/test_networks.py"),
        *("tests/experiments/test_datasets.py", "keras_lottery/core", "keras_lottery/scorers"),
        "keras_lottery/search/controls",
    )
    assert " passed" in out
    names = python(copy, "-m", "pytest", "-q", "--collect-only", "tests/test_contracts.py")
    for added in ("largest_number", "layerwise_again", "rows", "linear", "half", "tenth", "weight"):
        assert added in names, f"{added} was not found by the contract suite"
