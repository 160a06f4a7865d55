"""Commands run in this process, and a small pruned network for them."""

import numpy as np
import pytest

import keras_lottery as kl
from export import stock
from keras_lottery.commands import __main__ as commands


@pytest.fixture
def run(capsys):
    """Runs a command as `keras-lottery` does: its exit status or message, output and errors."""

    def command(*arguments):
        try:
            commands.main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def pruned(make_model):
    """A classifier of 6 features, half of its weights zero."""
    model = make_model()
    kl.Lottery(model).prune(0.5)
    return kl.strip(model)


@pytest.fixture
def folder(pruned, tmp_path):
    """The network as M.keras and as dense.tflite, and x.npy and y.npy, twenty examples for it."""
    pruned.save(tmp_path / "M.keras")
    (tmp_path / "dense.tflite").write_bytes(stock.convert(pruned, "float32", sparse=False))
    x = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", pruned.predict(x, verbose=0).argmax(axis=-1))
    return tmp_path
