import csv

import pytest

from experiments import choose

MINE = """
import keras
import numpy as np
from sklearn.datasets import load_digits

def make_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((64,)),
        keras.layers.Dense(32, "relu", name="fc1"),
        keras.layers.Dense(10, name="output"),
    ])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model

def load():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])
"""


@pytest.fixture
def choose_for(run, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)

    def choose_for(*arguments):
        mine = tmp_path / "mine.py"
        run_without_pieces(f"--model={mine}:make_model", f"--data={mine}:load", *arguments)

    def run_without_pieces(*arguments):
        from absl import flags
        from absl.testing import flagsaver

        with flagsaver.flagsaver():
            flags.FLAGS(["choose", f"--output={tmp_path / 'out'}", *arguments])
            choose.main(["choose"])

    return choose_for


def rows(tmp_path):
    with open(tmp_path / "out" / "choose.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_a_models_own_sparsity_is_chosen_and_an_interrupted_run_goes_on(
    choose_for, tmp_path, capsys
):
    arguments = ("--rounds=1", "--rate=0.5", "--epochs=3", "--within=2")
    choose_for(*arguments)
    found = rows(tmp_path)
    assert [row["round"] for row in found] == ["0", "1"]
    assert [float(row["remaining"]) for row in found] == [1.0, 0.5]
    assert float(found[0]["accuracy"]) > 0.85
    assert all(
        int(row["size"]) == (tmp_path / "out" / f"round-0{i}.tflite").stat().st_size
        for i, row in enumerate(found)
    )
    assert (tmp_path / "out" / "choose.png").stat().st_size > 1000
    output = capsys.readouterr().out
    assert "Keep " in output
    assert "Most sensitive is " in output
    (tmp_path / "out" / "round-01.weights.h5").unlink()
    choose_for(*arguments)
    assert rows(tmp_path) == found
    mine = tmp_path / "mine.py"
    mine.write_text(MINE.replace("set_random_seed(0)", "set_random_seed(1)"))
    with pytest.raises(SystemExit, match="makes other weights than those"):
        choose_for(*arguments)
    mine.write_text(MINE.replace("x / 16", "x / 15"))
    with pytest.raises(SystemExit, match="other flags: --data fingerprint"):
        choose_for(*arguments)
    mine.write_text(MINE)
    with pytest.raises(SystemExit, match=r"other flags: --rate=0.5 \(now 0.4\)"):
        choose_for(*arguments, "--rate=0.4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=none.py:make"], "`model` is 'none.py:make': there is no file 'none.py'"),
        (["--data={mine}:nothing"], "has no function 'nothing'"),
    ],
)
def test_a_file_or_function_that_is_not_there_is_answered(choose_for, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        choose_for(*(one.format(mine=tmp_path / "mine.py") for one in arguments))
