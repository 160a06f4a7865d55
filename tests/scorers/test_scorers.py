"""Criteria that measure, on whichever backend: for every file that is found."""

import keras
import numpy as np
import pytest

import keras_lottery as kl
from keras_lottery import scorers
from keras_lottery.scorers import _loss

X = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
Y = np.random.default_rng(1).integers(4, size=300)


@pytest.fixture
def model():
    """Two layers, one kernel in half precision's usual place, and one that the loss ignores."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(5, "tanh", name="fc1")(inputs)
    outputs = keras.layers.Dense(4, "softmax", name="output")(keras.layers.Dropout(0.5)(hidden))
    made = keras.Model(inputs, outputs)
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def by_hand(model):
    """The gradients of the mean cross-entropy, by the chain rule in NumPy."""
    w1, b1, w2, b2 = model.get_weights()
    hidden = np.tanh(X @ w1 + b1)
    logits = hidden @ w2 + b2
    logits -= logits.max(axis=1, keepdims=True)
    error = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error[np.arange(len(Y)), Y] -= 1
    error /= len(Y)
    backward = (error @ w2.T) * (1 - hidden**2)
    return {"fc1/kernel": (X.T @ backward, w1), "output/kernel": (hidden.T @ error, w2)}


@pytest.mark.parametrize(
    "data",
    [(X, Y), [(X[:100], Y[:100]), (X[100:], Y[100:])]],
    ids=["arrays", "batches of different size"],
)
@pytest.mark.parametrize(
    "name, expected",
    [
        ("snip", lambda gradient, weight: np.abs(gradient * weight)),
        ("gradient", lambda gradient, weight: np.abs(gradient)),
    ],
)
def test_scores_are_those_of_the_paper(model, name, expected, data):
    found = scorers.resolve(name)(model, data, np.random.default_rng(0))
    for kernel, (gradient, weight) in by_hand(model).items():
        np.testing.assert_allclose(found[kernel], expected(gradient, weight), atol=1e-6)


@pytest.mark.parametrize("name", scorers.names())
def test_what_every_scorer_promises(model, name):
    """Scores of every kernel's shape, finite; the model is left as it was."""
    scorer = scorers.resolve(name)
    assert scorers.is_scorer(scorer) and scorer.__name__ == name
    assert scorer.__doc__ and "https://" in __import__(scorer.__module__, fromlist=["_"]).__doc__
    lottery = kl.Lottery(model)
    lottery.prune(0.3)
    before = [keras.ops.convert_to_numpy(v) for v in (*model.variables, *model.optimizer.variables)]
    found, again = (scorer(model, (X, Y), np.random.default_rng(0)) for _ in range(2))
    after = [keras.ops.convert_to_numpy(v) for v in (*model.variables, *model.optimizer.variables)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    for kernel, mask in lottery.masks.items():
        assert found[kernel].shape == mask.shape
        assert np.isfinite(found[kernel]).all()
        np.testing.assert_array_equal(found[kernel], again[kernel])


def test_pruned_weights_have_a_gradient(model):
    """It says which of them would help if they grew."""
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    found = scorers.resolve("gradient")(model, (X, Y), None)
    assert all(np.mean(found[name][~mask] > 0) > 0.5 for name, mask in lottery.masks.items())


def test_a_weight_that_the_loss_does_not_see_has_none(model):
    twin = keras.Model(model.inputs, [model.outputs[0], keras.layers.Dense(2)(model.inputs[0])])
    twin.compile("sgd", ["sparse_categorical_crossentropy", None])
    found = _loss.gradients(twin, kl.model.variables.candidates(twin), (X, [Y, Y]))
    assert sorted(np.any(value) for value in found.values()) == [False, True, True]


def test_the_lowest_scores_are_pruned(model):
    scores = scorers.resolve("snip")(model, (X, Y), None)
    lottery = kl.Lottery(model, kl.Recipe("snip", scope="globally"))
    lottery.prune(0.6, data=(X, Y))
    alive = np.concatenate([scores[n][mask] for n, mask in lottery.masks.items()])
    dead = np.concatenate([scores[n][~mask] for n, mask in lottery.masks.items()])
    assert dead.size == 30 and dead.max() <= alive.min()


def test_a_scorer_of_ones_own_is_asked_once_a_pruning(model):
    asked = []

    def own(model, data, rng):
        asked.append((model, data, rng.random()))
        return {"fc1/kernel": np.ones((6, 5)), "output/kernel": np.arange(20.0).reshape(5, 4)}

    recipe = kl.Recipe(own, otherwise={"fc1": kl.Recipe(own, scope="globally")})
    lottery = kl.Lottery(model, recipe)
    with pytest.raises(ValueError, match="own scores all weights alike"):
        lottery.prune(0.5, data="anything that it takes")
    lottery = kl.Lottery(kl.strip(model), kl.Recipe(own, include="output"))
    lottery.prune(0.5, data=(X, Y))
    assert lottery.masks["output/kernel"].ravel().tolist() == 10 * [False] + 10 * [True]
    assert len(asked) == 2 and asked[1][0] is model


@pytest.mark.parametrize(
    "scores, message",
    [
        ({"fc1/kernel": np.zeros((6, 5))}, "own must return a dict .* none for 'output/kernel'"),
        (None, "own must return a dict from kernel name to scores"),
        (
            {"fc1/kernel": np.zeros((5, 6)), "output/kernel": np.zeros((5, 4))},
            r"scores for kernel 'fc1/kernel' have shape \(5, 6\)",
        ),
    ],
)
def test_scores_that_are_none(model, scores, message):
    def own(model, data, rng):
        return scores

    lottery = kl.Lottery(model, own)
    with pytest.raises(ValueError, match=message):
        lottery.prune(0.5, data=(X, Y))
    assert lottery.sparsity == 0


@pytest.mark.parametrize(
    "data, message",
    [
        (iter([(X, Y)]), "batches of such pairs that can be read again .*, received list_iterator"),
        (X[0, 0], "received float32"),
        ([X], "`data` must be a pair of arrays"),
        ((X[:0], Y[:0]), "`data` has no samples"),
    ],
)
def test_data_that_is_none(model, data, message):
    with pytest.raises(ValueError, match=message):
        kl.Lottery(model, "snip").prune(0.5, data=data)


def test_a_model_without_a_loss():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="has no loss to take gradients of: compile it first"):
        kl.Lottery(model, "snip").prune(0.5, data=(X, Y))


def test_it_measures_inside_fit_and_rounds(model):
    prune = kl.Prune(kl.schedules.geometric(0.5), "snip", data=(X, Y))
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[prune]).history
    assert [round(value, 2) for value in history["sparsity"]] == [0, 0.5]
    searched = prune.ticket.metadata
    assert searched["recipe"]["criterion"] == "snip"
    assert len(searched["search"]["data"]) == 16

    def make():
        copy = keras.models.clone_model(model)
        copy.compile("sgd", "sparse_categorical_crossentropy")
        return copy

    for r in kl.rounds(make, 1, 0.5, "snip", data=(X[:64], Y[:64])):
        r.model.fit(X, Y, verbose=0, callbacks=r.callbacks)
    assert r.alive_counts == {"fc1/kernel": 15, "output/kernel": 10}
    assert r.ticket.metadata["search"]["data"] != searched["search"]["data"]


def test_in_the_middle_of_an_epoch(model):
    prune = kl.Prune(kl.schedules.constant(0.5, begin=3), "gradient", data=(X, Y), unit="step")
    model.fit(X, Y, verbose=0, callbacks=[prune])
    assert prune.lottery.sparsity == 0.5
    prune.lottery.check()


# Scorers that need no data, or only samples.


def flow(model):
    return scorers.resolve("synflow")(model, None, None)


def test_a_model_that_synflow_cannot_feed_ones():
    table = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(4, 2)])
    with pytest.raises(ValueError, match=r"has dtype int32 and shape .* must be floating-point"):
        flow(table)
    with pytest.raises(ValueError, match="of a fixed shape"):
        flow(keras.Sequential([keras.Input((None, 3)), keras.layers.Conv1D(2, 2)]))

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc = keras.layers.Dense(2)

        def call(self, x):
            return self.fc(x)

    own = Own()
    own(np.ones((1, 3)))
    with pytest.raises(ValueError, match="does not know the shapes of its inputs"):
        flow(own)


@pytest.mark.parametrize("last", [keras.layers.Softmax, keras.layers.LayerNormalization])
def test_outputs_that_do_not_depend_on_the_size_of_weights(last):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), last()])
    with pytest.raises(ValueError, match="finds no signal that grows with the weights"):
        flow(model)


def test_a_network_with_branches_out_of_range_is_not_ranked_otherwise():
    x = inputs = keras.Input((4,))
    for _ in range(20):
        layer = keras.layers.Dense(
            4, use_bias=False, kernel_initializer=keras.initializers.Constant(2.0**10)
        )
        x = keras.layers.Add()([x, layer(x)])
    with pytest.raises(ValueError, match=r"out of float32's range, .* as it has branches"):
        flow(keras.Model(inputs, x))


def test_activations_of_the_model_are_left_as_they_are(model):
    before = [layer.activation for layer in model.layers if hasattr(layer, "activation")]
    assert all(np.all(values > 0) for values in flow(model).values())
    after = [layer.activation for layer in model.layers if hasattr(layer, "activation")]
    assert before == after == [keras.activations.tanh, keras.activations.softmax]


def test_data_for_a_scorer_that_takes_none(model):
    with pytest.raises(ValueError, match="no criterion looks at it: synflow ranks without"):
        kl.Lottery(model, "synflow").prune(0.5, data=(X, Y))


def test_a_kernel_that_wanda_does_not_know_is_named():
    layers = [keras.Input((5, 3)), keras.layers.LSTM(4, name="lstm"), keras.layers.Dense(2)]
    data = (np.ones((4, 5, 3), "float32"), np.zeros(4))
    lottery = kl.Lottery(keras.Sequential(layers), "wanda")
    with pytest.raises(ValueError, match=r"wanda must return .* none for 'lstm/lstm_cell/kernel'"):
        lottery.prune(0.5, data=data)
    assert lottery.sparsity == 0
    lottery = kl.Lottery(kl.strip(lottery.model), kl.Recipe("wanda", exclude="lstm"))
    lottery.prune(0.5, data=data)
    assert lottery.alive_counts == {"dense/kernel": 4} or list(lottery.alive_counts.values()) == [4]


@pytest.mark.parametrize(
    "y, per_class, message",
    [
        (np.array([0.5, 1.5]), 1, "`y` must be classes, .* dtype float64"),
        (np.array([0, 0, 1]), 2, r"fewer samples of \{1: 1\}"),
        (np.array([0, 0, 1]), 0, "`per_class` must be a positive integer, received 0"),
        (np.zeros((3, 2, 2), int), 1, r"shape \(3, 2, 2\)"),
    ],
)
def test_classes_that_cannot_be_balanced(y, per_class, message):
    with pytest.raises(ValueError, match=message):
        scorers.balanced(np.zeros(len(y)), y, per_class)


def test_one_hot_classes_and_nested_samples_are_balanced():
    x = {"a": np.arange(4), "b": np.arange(4)[:, None]}
    found, y = scorers.balanced(x, np.eye(2)[[0, 0, 1, 1]], 1)
    assert found["a"].tolist() == [0, 2] and found["b"].shape == (2, 1)
    assert y.tolist() == [[1, 0], [0, 1]]


# Several prunings to one sparsity.


def test_each_of_several_prunings_leaves_the_same_share(model):
    """0.1 ** (1 / 2) leaves 0.316 first: 21 of 30 and 14 of 20 weights go."""
    shares = []

    def own(model, data: None, rng):
        shares.append(kl.Lottery.on(model).sparsity)
        return {
            name: np.random.default_rng(0).random(v.shape)
            for name, v in kl.model.variables.candidates(model).items()
        }

    lottery = kl.Lottery(model, kl.Recipe(own, scope="globally"))
    lottery.prune(0.9, rounds=2)
    assert shares == [0, 0.7]
    assert sum(lottery.alive_counts.values()) == 5


def test_overrides_are_reached_in_the_same_number_of_prunings(model):
    lottery = kl.Lottery(model)
    lottery.prune(0.8, overrides={"output": 0.5}, rounds=3)
    assert lottery.alive_counts == {"fc1/kernel": 6, "output/kernel": 10}


def test_where_a_later_pruning_fails_nothing_is_pruned(model):
    """The optimizer's slots of weights that had gone are as they were, too."""
    lottery = kl.Lottery(model, kl.Recipe(exclude="output"))
    lottery.prune(0.2)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    left = iter([True, True])

    def failing(model, data: None, rng):
        next(left)
        return {"fc1/kernel": np.random.default_rng(0).random((6, 5))}

    def everything():
        values = (*model.variables, *model.optimizer.variables)
        return [np.array(keras.ops.convert_to_numpy(v)) for v in values], lottery.masks

    before, masks = everything()
    events = lottery.state.events
    with pytest.raises(StopIteration):
        lottery.prune(0.8, rounds=5, recipe=kl.Recipe(failing, exclude="output"))
    after, found = everything()
    for one, other in zip((*before, *masks.values()), (*after, *found.values()), strict=True):
        np.testing.assert_array_equal(one, other)
    assert lottery.state.events == events
    lottery.check()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sparsity": 0.5, "rounds": 0}, "`rounds` must be a positive integer, received 0"),
        ({"sparsity": 0.5, "rounds": True}, "received True"),
        ({"rate": 0.5, "rounds": 2}, "`rate` prunes once: give `sparsity`"),
    ],
)
def test_rounds_that_are_none(model, arguments, message):
    lottery = kl.Lottery(model)
    with pytest.raises(ValueError, match=message):
        lottery.prune(**arguments)
    assert lottery.sparsity == 0
