"""What each scorer makes of a network of 2-2-2 units, worked out by hand."""

import functools

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

import keras_lottery as kl
from keras_lottery import scorers

X = np.array([[1, 1], [0, 1]], "float32")
Y = np.array([[0, 0], [4, 7]], "float32")
W1 = np.array([[1, -2], [3, 1]], "float32")
W2 = np.array([[1, 2], [-1, 1]], "float32")

# The hidden units are (4, 0) and (3, 1), the outputs (4, 8) and (2, 7), the gradients of the mean
# loss ((10, 0), (9, 1)) and ((5, 16), (-1, 0)).
GOLDEN = {
    "gradient": ([[10, 0], [9, 1]], [[5, 16], [1, 0]]),
    "snip": ([[10, 0], [27, 1]], [[5, 32], [1, 0]]),
    "taylor": ([[10, 0], [27, 1]], [[5, 32], [1, 0]]),
    "grasp": ([[195.5, 0], [805.5, 23.5]], [[140, 761], [-10, 33.5]]),
    "synflow": ([[3, 4], [9, 2]], [[4, 8], [3, 3]]),
    "wanda": ([[1, 2], [3 * 2**0.5, 2**0.5]], [[5, 10], [1, 1]]),
}


def network():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(2, "relu", use_bias=False, name="fc1"),
            keras.layers.Dense(2, use_bias=False, name="output"),
        ]
    )
    model.set_weights([W1, W2])
    model.compile("sgd", "mse")
    return model


def scores(name, model, data=(X, Y)):
    scorer = scorers.resolve(name)
    return scorer(model, data if scorers.needs_data(scorer) else None, np.random.default_rng(0))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    found = scores(name, network())
    assert_allclose(found["fc1/kernel"], GOLDEN[name][0], rtol=1e-5)
    assert_allclose(found["output/kernel"], GOLDEN[name][1], rtol=1e-5)


@pytest.mark.parametrize("name", scorers.names())
def test_what_a_scorer_promises(name):
    kl.testing.check_scorer(scorers.resolve(name))


def test_taylor_does_not_let_batches_cancel():
    found = scores("taylor", network(), [(X[:1], Y[:1]), (X[1:], Y[1:])])
    assert_allclose(found["fc1/kernel"], [[10, 0], [33, 1]], rtol=1e-5)
    assert_allclose(found["output/kernel"], [[11, 32], [1, 0]], rtol=1e-5)


@pytest.mark.parametrize("units, depth", [(3, 3), (64, 60)], ids=["small", "out of range"])
def test_the_synaptic_flow_through_all_layers_is_the_same(units, depth):
    layers = [keras.layers.Dense(units, "relu") for _ in range(depth)]
    for seed, layer in enumerate(layers):
        layer.kernel_initializer = keras.initializers.RandomNormal(stddev=2, seed=seed)
    model = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(2, "softmax")])
    sums = [values.sum(dtype="float64") for values in scores("synflow", model).values()]
    assert len(sums) == depth + 1
    assert_allclose(sums, sums[0], rtol=1e-5)


def test_scaled_kernels_are_ranked_as_they_would_be():
    """The same network, 2 ** 60 times as loud in each of three layers."""
    quiet, loud = network(), network()
    loud.set_weights([W1 * 2.0**70, W2 * 2.0**70])
    exact, scaled = scores("synflow", quiet), scores("synflow", loud)
    ratios = [scaled[name] / exact[name] for name in exact]
    assert_allclose(ratios, np.full((2, 2, 2), ratios[0][0, 0]), rtol=0)


def test_pruning_by_synflow_in_rounds_leaves_every_layer_alive():
    layers = [keras.layers.Dense(20, "relu", name=f"fc{i}") for i in range(6)]
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(3, name="output")])
    lottery = kl.Lottery(model, kl.Recipe("synflow", scope="globally"))
    lottery.prune(0.97, rounds=20)
    assert lottery.sparsity == pytest.approx(0.97, abs=1e-3)
    assert min(lottery.alive_counts.values()) > 0
    search = kl.Ticket.of(lottery).metadata["search"]
    assert (search["rounds"], search["data"]) == (20, None)


def test_wanda_takes_convolutions_and_attention():
    inputs = keras.Input((6, 4))
    x = keras.layers.Conv1D(4, 3, padding="same", activation="tanh", name="conv")(inputs)
    x = keras.layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    model = keras.Model(inputs, keras.layers.Dense(1, name="output")(x))
    data = (np.random.default_rng(0).normal(size=(5, 6, 4)).astype("float32"), np.zeros(5))
    found = scores("wanda", model, data)
    kernels = kl.model.variables.prunable(model)
    assert found.keys() == kernels.keys()
    middle = np.sqrt((data[0] ** 2).sum((0, 1)))
    kernel = np.abs(keras.ops.convert_to_numpy(kernels["conv/kernel"]))
    assert_allclose(found["conv/kernel"][1], kernel[1] * middle[:, None], rtol=1e-5)
    edge = np.sqrt((data[0][:, :-1] ** 2).sum((0, 1)))
    assert_allclose(found["conv/kernel"][0], kernel[0] * edge[:, None], rtol=1e-5)


def test_settings_are_given_by_partial():
    def powered(model, data, rng, power):
        return {name: one**power for name, one in scores("snip", model, data).items()}

    lottery = kl.Lottery(network(), functools.partial(powered, power=2))
    lottery.prune(0.25, data=(X, Y))
    assert lottery.masks["fc1/kernel"].tolist() == [[True, False], [True, True]]
