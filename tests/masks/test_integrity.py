"""Causes of broken masks, and kernels that a pruning emptied."""

import keras
import numpy as np
import pytest

from keras_lottery.core import granularity
from keras_lottery.core.kernel import Kernel
from keras_lottery.core.recipe import Recipe
from keras_lottery.masks import integrity
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.masking import MaskError

MASK = np.array([[True, False], [False, True]])


def kernel(current):
    return Kernel.of(np.array(current, "f4"), name="fc", mask=MASK)


def test_what_holds_passes():
    integrity.refuse_broken([kernel([[1, 0], [-0.0, 2]])], {}, [])
    held = {"fc": np.array([[0, 3], [4, 0]], "f4")}
    integrity.refuse_broken([kernel([[1, 3], [4, 2]])], held, [])


def test_why_adafactor_diverged():
    diverged = kernel([[np.inf, np.nan], [np.nan, 2]])
    for epsilon, expected in (
        (1e-30, r"diverged\. Keras' Adafactor .*=1e-16`\.$"),
        (1e-16, r"diverged\.$"),
    ):
        optimizer = keras.optimizers.Adafactor(epsilon_1=epsilon)
        with pytest.raises(MaskError, match=expected):
            integrity.refuse_broken([diverged], {}, [], [optimizer])


@pytest.mark.parametrize(
    "current, held, expected",
    [
        ([[1, 5], [0, 2]], {}, r"'fc': 1 of 2 pruned weights have changed \(expected 0\)"),
        (
            [[1, 0], [4, 2]],
            {"fc": np.array([[0, 3], [4, 0]], "f4")},
            r"1 of 2 pruned weights have changed \(expected their held values\)",
        ),
        ([[1, np.nan], [0, 2]], {}, r"1 of 2.*Something wrote to the weights"),
        ([[np.inf, np.nan], [np.nan, 2]], {}, r"2 of 2.*training diverged"),
    ],
)
def test_what_does_not_hold(current, held, expected):
    with pytest.raises(MaskError, match=expected):
        integrity.refuse_broken([kernel(current)], held, [])


def test_a_step_that_did_not_see_the_masks_comes_first():
    optimizer = keras.optimizers.Lion(name="own")
    with pytest.raises(MaskError) as error:
        integrity.refuse_broken([kernel([[np.nan, 1], [1, 1]])], {}, iter([optimizer]))
    message = str(error.value)
    assert "Lion ('own', 0 steps) stepped since" in message
    assert message.index("stepped since") < message.index("training diverged")
    assert "Something wrote" not in message


def test_whether_steps_were_unseen_is_asked_only_where_masks_are_broken():
    def unseen():
        raise AssertionError("looked through the process")
        yield

    integrity.refuse_broken([kernel([[1, 0], [0, 1]])], {}, unseen())


def make():
    """The output's weights are a hundred times smaller than the others."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, name="fc"),
            keras.layers.Dense(2, name="output"),
        ]
    )
    rng = np.random.default_rng(0)
    model.layers[0].kernel.assign(rng.normal(size=(6, 8)))
    model.layers[1].kernel.assign(rng.normal(size=(8, 2)) / 1000)
    return model


def test_a_global_pruning_that_empties_the_output():
    lottery = Lottery(make())
    with pytest.warns(UserWarning, match=r"no weight alive in 'output/kernel' \(0 of 16\).*overr"):
        lottery.prune(0.5, recipe=Recipe(scope="globally"))
    lottery.prune(0.6, recipe=Recipe(scope="globally"))  # said once: it was empty before
    Lottery(make()).prune(0.5, overrides={"output": 0.5}, recipe=Recipe(scope="globally"))
    Lottery(make()).prune(0.5, recipe=Recipe(scope="layerwise"))


def test_a_kernel_emptied_by_rounding_or_by_rows():
    lottery = Lottery(make(), Recipe(include="output"))
    with pytest.warns(UserWarning, match=r"'output/kernel' \(0 of 16\)"):
        lottery.prune(rate=0.99)
    units = Lottery(make(), Recipe(include="output"))
    with pytest.warns(UserWarning, match=r"'output/kernel' \(0 of 16\)"):
        units.prune(0.9, recipe=Recipe(granularity=granularity.units()))


def test_what_was_asked_for_is_no_surprise():
    Lottery(make()).prune(1.0)
    Lottery(make()).prune(0.5, overrides={"output": 1.0})
    Lottery(make()).prune(rate=1.0)
