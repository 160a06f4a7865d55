"""A layer's `call` is replaced for a while, and nothing is left of it."""

import keras
import numpy as np
import pytest

from keras_lottery.model import calls


@pytest.fixture
def layer():
    made = keras.layers.Dense(2, "relu", name="fc")
    made.build((None, 3))
    return made


def test_a_call_is_replaced_and_comes_back(layer):
    before = dict(vars(layer))
    x = np.ones((1, 3), "float32")
    with calls.replaced([layer], lambda one, call: lambda x: 2 * call(x)):
        doubled = layer(x)
    np.testing.assert_allclose(doubled, 2 * layer(x))
    assert vars(layer).keys() == before.keys()


def test_it_comes_back_after_an_error(layer):
    def failing(one, call):
        def fail(x):
            raise RuntimeError("in the middle")

        return fail

    with pytest.raises(RuntimeError), calls.replaced([layer], failing):
        layer(np.ones((1, 3), "float32"))
    assert "call" not in vars(layer)
    assert layer(np.ones((1, 3), "float32")).shape == (1, 2)


def test_an_attribute_of_its_own_comes_back(layer):
    with calls.attribute(layer, "activation", keras.activations.linear):
        assert layer.activation is keras.activations.linear
    assert layer.activation is keras.activations.relu
