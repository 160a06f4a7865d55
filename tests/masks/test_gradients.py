"""The door that every step of an optimizer goes through: `BaseOptimizer.apply`, on the class.

That the class has its own method back in the end: `tests/backends/test_masked_gradients.py`, in a
process of its own.
"""

import keras
import numpy as np
import pytest

from keras_lottery.masks import gradients
from keras_lottery.masks.lottery import Lottery


class Doubled(keras.optimizers.SGD):
    """An `apply` of one's own, which ends in Keras'."""

    def apply(self, grads, trainable_variables=None):
        """Step with twice the gradients."""
        return super().apply([2 * gradient for gradient in grads], trainable_variables)


def steps(optimizer, as_given):
    """A layer's kernel after a step with gradients of one, and its mask."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="fc")])
    lottery = Lottery(model, optimizer=optimizer)
    lottery.prune(0.5)
    before = model.layers[0].kernel.numpy()
    ones = [keras.ops.ones(variable.shape) for variable in model.trainable_variables]
    optimizer.build(model.trainable_variables)
    as_given(optimizer, ones, model.trainable_variables)
    lottery.check()
    return before - model.layers[0].kernel.numpy(), lottery.masks["fc/kernel"]


@pytest.mark.parametrize(
    "as_given",
    [
        lambda optimizer, ones, variables: optimizer.apply(ones, variables),
        lambda optimizer, ones, variables: optimizer.apply(ones),
        lambda optimizer, ones, variables: optimizer.apply(ones, iter(variables)),
        lambda optimizer, ones, variables: optimizer.apply(grads=ones),
        lambda optimizer, ones, variables: optimizer.apply_gradients(
            zip(ones, variables, strict=True)
        ),
        lambda optimizer, ones, variables: optimizer.apply(ones[::-1], variables[::-1]),
    ],
)
def test_ways_to_step(as_given):
    """The clip norm sees the 6 live weights alone: each moves by the norm over their root."""
    moved, mask = steps(keras.optimizers.SGD(1.0, clipnorm=0.5), as_given)
    np.testing.assert_allclose(moved, np.where(mask, 0.5 / np.sqrt(6), 0), rtol=1e-5)


def test_an_apply_of_ones_own():
    moved, mask = steps(Doubled(0.25), lambda optimizer, ones, _: optimizer.apply(ones))
    np.testing.assert_allclose(moved, np.where(mask, 0.5, 0), rtol=1e-6)


@pytest.mark.parametrize("wrong", [[1.0], [1.0, 1.0, 1.0]])
def test_a_wrong_number_of_gradients_is_for_keras_to_refuse(wrong):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    Lottery(model).prune(0.0)
    with pytest.raises(ValueError, match="gradients must match"):
        optimizer.apply([keras.ops.ones(()) * one for one in wrong])


def test_missing_gradients_stay_missing():
    """Of a kernel that no loss reaches; nothing is made up for it."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(3)])
    lottery = Lottery(model)
    lottery.prune(0.5)
    before = model.layers[0].kernel.numpy()
    optimizer = keras.optimizers.SGD(1.0)
    grads = [None, None, *(keras.ops.ones(v.shape) for v in model.trainable_variables[2:])]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply(grads, model.trainable_variables)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)
    lottery.check()


def test_the_mask_of_what_has_none():
    kernel = keras.Variable(np.ones((2, 2)))
    assert gradients.mask_of(kernel) is None
    kernel.constraint = keras.constraints.NonNeg()
    assert gradients.mask_of(kernel) is None
    assert gradients.mask_of(np.ones(2)) is None
