"""Barriers between networks, and the first-order expansion of one."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_lottery as kl

X = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")
Y = (X @ np.random.default_rng(1).normal(size=(5, 3))).argmax(1)

linear_only = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="a forward-mode product on TensorFlow and JAX"
)


def network(norm=False, activation="relu"):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((5,)), keras.layers.Dense(8, activation)]
    if norm:
        layers.append(keras.layers.BatchNormalization())
    model = keras.Sequential([*layers, keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(model, first, last, seed):
    """An order of the data to a step."""
    for step in range(first, last):
        order = np.random.default_rng([seed, step]).permutation(60)
        for start in range(0, 60, 20):
            chosen = order[start : start + 20]
            model.train_on_batch(X[chosen], Y[chosen])


def values(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]


def scalar(value):
    layer = keras.layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(value)
    )
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile("sgd", "mse")
    return model


def test_losses_along_the_line():
    """w * 1 with the target 0: w ** 2 at -1, -0.5, 0, 0.5 and 1, which is no barrier; from 0 to 2
    with the target 1, there is none either; from 0 to 2 with the sign turned there is."""
    data = (np.ones((4, 1), "float32"), np.zeros((4, 1), "float32"))
    found = kl.landscape.barrier(scalar(-1.0), scalar(1.0), data, points=5)
    assert found.positions == (0, 0.25, 0.5, 0.75, 1)
    assert_allclose(found.losses, [1, 0.25, 0, 0.25, 1])
    assert found.loss == 0 and found.errors is None and found.error is None
    with pytest.raises(ValueError, match="compile the model with metrics"):
        found.stable  # noqa: B018


def test_a_hill_between_two_networks_is_a_barrier():
    """The errors 0, 1, 0 and the losses 1, 4, 3 rise to 1 and to 2 above the ends' means."""
    found = kl.landscape.Barrier((0, 0.5, 1), (1.0, 4.0, 3.0), (0.0, 1.0, 0.0))
    assert (found.loss, found.error, found.stable) == (2, 1, False)
    assert kl.landscape.Barrier((0, 1), (1.0, 1.0), (0.5, 0.515)).stable


def test_both_networks_are_left_as_they_were():
    one, other = network(norm=True), network(norm=True)
    train(one, 0, 2, 1)
    train(other, 0, 2, 2)
    before = values(one), values(other)
    found = kl.landscape.barrier(one, other, (X, Y), points=4)
    for old, new in zip((*before[0], *before[1]), (*values(one), *values(other)), strict=True):
        assert_array_equal(old, new)
    assert len(found.losses) == 4 and np.all(np.isfinite(found.losses))


def test_statistics_are_those_of_every_point():
    one, other = network(norm=True), network(norm=True)
    train(one, 0, 4, 1)
    train(other, 0, 4, 2)
    estimated = kl.landscape.barrier(one, other, (X, Y), points=3)
    between = kl.landscape.barrier(one, other, (X, Y), points=3, statistics="interpolated")
    assert estimated.losses != between.losses
    weights = [(a + b) / 2 for a, b in zip(one.get_weights(), other.get_weights(), strict=True)]
    one.set_weights(weights)
    assert_allclose(between.losses[1], one.evaluate(X, Y, verbose=0)[0], rtol=1e-5)
    kl.recalibrate(one, X, 256)
    assert_allclose(estimated.losses[1], one.evaluate(X, Y, verbose=0)[0], rtol=1e-5)


def test_copies_that_see_the_same_order_do_not_part():
    same = kl.landscape.instability(
        network, train, (X, Y), steps=3, from_step=1, seeds=(4, 4), points=3
    )
    assert same.error == 0 and same.loss == pytest.approx(0, abs=1e-6)
    apart = kl.landscape.instability(network, train, (X, Y), steps=3, points=3)
    assert apart.losses[0] != apart.losses[-1]


def test_the_earliest_stable_step_is_chosen(monkeypatch):
    from keras_lottery.landscape import stability

    heights = iter([0.5, 0.019])
    measured = []

    def barrier(first, second, data, points):
        measured.append([kl.Lottery.on(one).sparsity for one in (first, second)])
        return kl.landscape.Barrier((0, 0.5, 1), (1, 1, 1), (0, next(heights), 0))

    monkeypatch.setattr(stability, "barrier", barrier)
    arguments = {"steps": 3, "sparsity": 0.5, "points": 3}
    step = kl.landscape.choose_rewind_step(
        network, train, (X, Y), candidates=[0, 1, 2], **arguments
    )
    assert step == 1
    assert measured == [[0.5, 0.5]] * 2
    heights = iter([0.5])
    with pytest.warns(UserWarning, match=r"No step of \[2\] is stable; error barriers: \{2: 0.5\}"):
        step = kl.landscape.choose_rewind_step(network, train, (X, Y), candidates=[2], **arguments)
    assert step is None


@linear_only
def test_the_expansion_is_exact_at_first_order():
    """A change of 1e-3 in every weight moves both networks alike; and twice the change, twice."""
    model = network(activation="tanh")
    linear = kl.landscape.linearised(model)
    start = model.predict(X, verbose=0)
    assert_allclose(linear.predict(X, verbose=0), start, atol=1e-6)
    rng = np.random.default_rng(0)
    changes = [1e-3 * rng.normal(size=v.shape) for v in linear.trainable_variables]

    def moved(scale):
        for variable, change in zip(linear.trainable_variables, changes, strict=True):
            variable.assign(scale * change)
        return linear.predict(X, verbose=0) - start

    once = moved(1)
    assert_allclose(moved(2), 2 * once, atol=1e-6)
    weights = model.get_weights()
    model.set_weights([w + c for w, c in zip(weights, changes, strict=True)])
    assert_allclose(model.predict(X, verbose=0) - start, once, atol=1e-5)


@linear_only
def test_only_changes_are_trained_and_pruned_weights_stay_pruned():
    model = network(norm=True)
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    before = values(model)
    linear = kl.landscape.linearised(model)
    linear.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    losses = linear.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for old, new in zip(before, values(model), strict=True):
        assert_array_equal(old, new)
    dead = ~lottery.masks[lottery.names[0]]
    change = keras.ops.convert_to_numpy(linear.trainable_variables[0])
    assert np.all(change[dead] == 0) and np.any(change[~dead] != 0)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: kl.landscape.barrier(m, m, (X, Y), points=1), "`points` must be 2 or more"),
        (lambda m: kl.landscape.barrier(m, m, X), "`data` must be a pair of arrays"),
        (
            lambda m: kl.landscape.barrier(m, m, (X, Y), statistics="mean"),
            "`statistics` must be 're-estimated' or 'interpolated', received 'mean'",
        ),
        (
            lambda m: kl.landscape.barrier(keras.Sequential(m.layers), m, (X, Y)),
            "must be compiled",
        ),
        (
            lambda m: kl.landscape.instability(network, train, (X, Y), steps=3, from_step=3),
            r"`from_step` must be in \[0, 3\)",
        ),
        (
            lambda m: kl.landscape.instability(
                lambda: keras.models.clone_model(m), train, (X, Y), steps=3
            ),
            "other weights in every call: call keras.utils.set_random_seed",
        ),
        (
            lambda m: kl.landscape.choose_rewind_step(
                network, train, (X, Y), steps=3, sparsity=0.5, candidates=[2, 1]
            ),
            "`candidates` must be steps in rising order",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(network())


def test_networks_of_other_architecture():
    other = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="sequential"):
        kl.landscape.barrier(network(), other, (X, Y))
