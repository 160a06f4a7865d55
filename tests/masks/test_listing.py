"""What a person sees of a `Lottery`, and what a copy of one says."""

import copy
import pickle

import keras
import pytest

from keras_lottery.core import schedules
from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.search.prune import Prune
from keras_lottery.tickets.ticket import Ticket


@pytest.fixture
def lottery():
    model = keras.Sequential(
        [
            keras.Input((8, 3)),
            keras.layers.Conv1D(10, 2, name="conv"),
            keras.layers.DepthwiseConv1D(2, name="depthwise"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="output"),
        ],
        name="net",
    )
    lottery = Lottery(model, Recipe(exclude="output"))
    lottery.prune(0.25)
    return lottery


def test_print(lottery):
    assert repr(lottery) == (
        "<Lottery of 'net': 45 of 60 weights alive in 1 kernel, sparsity 0.2500>"
    )
    assert len(repr(Ticket.of(lottery))) < 200
    lottery.detach()
    assert "0.2500" in str(lottery)


def test_summary(lottery, capsys):
    assert lottery.summary() is None
    assert capsys.readouterr().out.splitlines() == [
        "kernel       shape   alive  weights  sparsity",
        "conv/kernel  2x3x10     45       60    25.00%",
        "total                   45       60    25.00%",
        "",
        "left dense        reason     weights",
        "depthwise/kernel  depthwise       20",
        "output/kernel     excluded       240",
    ]


@pytest.mark.parametrize(
    "how", [copy.deepcopy, copy.copy, pickle.dumps, lambda one: copy.deepcopy({"lottery": [one]})]
)
def test_a_copy_is_refused_with_what_to_do(lottery, how):
    with pytest.raises(TypeError, match=r"cannot be copied.*Ticket.of\(lottery\).apply\(copy\)"):
        how(lottery)
    lottery.check()
    other = keras.models.clone_model(lottery.model)  # as it says
    assert Ticket.of(lottery).apply(other).alive_counts == lottery.alive_counts


def test_a_callback_before_and_after():
    prune = Prune(schedules.constant(0.5))
    assert repr(prune).startswith("<Prune ")
    assert "0.5" in repr(prune)
