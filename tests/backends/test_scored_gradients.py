"""Masks that train: the gradients of each way, worked out by hand, and exact counts."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_lottery as kl
from keras_lottery.core import selection
from keras_lottery.search.scored import threshold

# A network of one layer, with a loss of the sum of outputs, sees `x` as the gradient of each
# weight.

WEIGHTS = np.array([[1.0, -2.0], [3.0, 4.0]], "float32")
SCORES = np.array([[0.5, -0.4], [-0.1, 0.2]], "float32")
INPUT = np.array([[10.0, 100.0]], "float32")


def step(make, scores=SCORES):
    """The outputs, and what a step of SGD at rate 1 takes from the scores."""
    layer = keras.layers.Dense(2, use_bias=False, name="fc")
    search = make(keras.Sequential([keras.Input((2,)), layer]))
    layer.kernel.assign(WEIGHTS)
    for start in search._starts:
        start.assign(WEIGHTS)
    search.trained[0].assign(scores)
    search.compile(keras.optimizers.SGD(1.0), lambda y, out: keras.ops.sum(out, axis=-1))
    outputs = search.predict(INPUT, verbose=0)
    search.train_on_batch(INPUT, np.zeros((1, 2), "float32"))
    return outputs, scores - search.scores["fc/kernel"]


def test_the_gradient_of_edge_popup():
    """Used: 1 and -2. Scores get x * w * sign(score), unused ones too."""
    outputs, gradient = step(lambda model: kl.scored.edge_popup(model, 0.5))
    assert_allclose(outputs, [[10, -20]])
    assert_allclose(gradient, [[10, 20], [-300, 400]], rtol=1e-5)


def test_the_gradient_of_biprop():
    """alpha is the mean of 1 and 2; the gradient does not know it."""
    outputs, gradient = step(lambda model: kl.scored.biprop(model, 0.5))
    assert_allclose(outputs, [[15, -15]])
    assert_allclose(gradient, [[10, 20], [-300, 400]], rtol=1e-5)


def test_the_gradient_of_a_supermask():
    """At a score of 0 the slope of the sigmoid is a quarter."""
    scores = np.zeros((2, 2), "float32")
    _, gradient = step(lambda model: kl.scored.supermask(model, rescale=False), scores)
    assert_allclose(gradient, INPUT.T * WEIGHTS / 4, rtol=1e-5)
    outputs, _ = step(lambda model: kl.scored.supermask(model))
    assert_allclose(outputs, [[20, 800]])  # 1 and 4 are used, two of four


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_are_those_of_a_sort(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.choice([0.0, 1e-40, 1e-7, 0.5, 2.0, 3e38], size=50).astype("float32")
    if seed % 2:
        sizes = np.abs(rng.normal(size=50)).astype("float32")
    for count in (0, 1, 7, 25, 49, 50):
        found = keras.ops.convert_to_numpy(
            threshold.largest(keras.ops.convert_to_tensor(sizes), count)
        )
        assert found.sum() == count
        expected = selection.drop_lowest(sizes, np.ones(50, bool), 50 - count)
        if not np.any((sizes > 0) & (sizes < 1.2e-38)):  # some backends flush such to zero
            assert_array_equal(found, expected)
