"""Small models and data for tests that train and then look."""

import os

# Before TensorFlow is imported: its start-up messages would drown a test's own.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gc
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_lottery  # noqa: F401 - and with it what the garbage collector need not look at

# They hold no doctests, and Python takes two modules of one name for one.
collect_ignore_glob = ["conftest.py", "**/conftest.py"]

# A `Lottery` looks through all objects for who trains its kernels: the 400,000 of the imported
# libraries are none.
gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same weights, alone or among others."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def data():
    """84 samples of 6 features, and one-hot classes of 4."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(84, 6)).astype("float32")
    y = np.eye(4, dtype="float32")[rng.integers(4, size=84)]
    return x, y


@pytest.fixture
def make_model():
    """A function that makes a small compiled classifier, the same each time it is called."""

    def make(optimizer="sgd", **compile_arguments):
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(
                    8, "relu", name="fc1", kernel_initializer=keras.initializers.GlorotNormal(1)
                ),
                keras.layers.BatchNormalization(name="bn"),
                keras.layers.Dense(
                    4,
                    "softmax",
                    name="output",
                    kernel_initializer=keras.initializers.GlorotNormal(2),
                ),
            ]
        )
        model.compile(optimizer, "categorical_crossentropy", **compile_arguments)
        return model

    return make


@pytest.fixture
def run_python():
    """A function that runs code in a new process and returns what it printed."""

    def run(code, backend=None, **environment):
        """`backend` defaults to the one that is active here."""
        result = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", code],
            env={
                **os.environ,
                "KERAS_BACKEND": backend or keras.backend.backend(),
                "PYTHONPATH": str(pathlib.Path(__file__).parents[1]),
                **environment,
            },
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run
