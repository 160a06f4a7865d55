"""Values for variables by name, of which the layers take notice."""

import keras
import numpy as np
import pytest

from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import assignment, variables
from keras_lottery.tickets.ticket import Ticket, TicketError

X = np.arange(12, dtype="float32").reshape(4, 3)


class Scale(keras.layers.Layer):
    """Computes with a constant that it derives from its variable, as `Normalization` does."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones", trainable=False, name="factor")
        self.derive()

    def derive(self):
        self.constant = keras.ops.convert_to_numpy(self.factor).item()

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self.derive()

    def call(self, inputs):
        return inputs * self.constant


class NamedScale(Scale):
    """In a file, its variable has a name of its own."""

    def save_own_variables(self, store):
        store["log2"] = np.log2(keras.ops.convert_to_numpy(self.factor))

    def load_own_variables(self, store):
        self.factor.assign(2 ** store["log2"])
        self.derive()


class StaleScale(Scale):
    """Saves the constant, of which it does not know that it is outdated."""

    def save_own_variables(self, store):
        store["0"] = np.float32(self.constant)


def adapted(values):
    layer = keras.layers.Normalization(name="scale")
    layer.adapt(values)
    return layer


def model_of(layer):
    return keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(2, name="fc")])


def nested(layer):
    return keras.Sequential([keras.Input((3,)), model_of(layer), keras.layers.Dense(1)])


def values_of(model):
    return {
        name: np.array(keras.ops.convert_to_numpy(variable))
        for name, variable in variables.named(model).items()
    }


@pytest.mark.parametrize("make", [model_of, nested])
def test_an_adapted_normalization_takes_its_values(make):
    model = make(adapted(5 * X + 3))
    other = make(keras.layers.Normalization(name="scale"))
    other.predict(X, verbose=0)  # traced with the constants of the old values
    values = dict(zip(values_of(other), values_of(model).values(), strict=True))
    assignment.assign(other, values)
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    np.testing.assert_array_equal(other(X), model(X))


@pytest.mark.parametrize("kind", [Scale, NamedScale])
def test_a_layer_of_ones_own_takes_its_values(kind):
    model = keras.Sequential([keras.Input((3,)), kind(name="scale")])
    assignment.assign(model, {"scale/factor": np.array(4, "float32")})
    np.testing.assert_array_equal(model.predict(X, verbose=0), 4 * X)


def test_a_layer_that_was_assigned_to_behind_its_back_takes_notice_of_the_same_values():
    model = keras.Sequential([keras.Input((3,)), Scale(name="scale")])
    model.layers[0].factor.assign(8)
    assignment.assign(model, {"scale/factor": np.array(8, "float32")})
    np.testing.assert_array_equal(model(X), 8 * X)


def test_what_is_not_named_stays():
    model = model_of(Scale(name="scale"))
    before = values_of(model)
    assignment.assign(model, {"fc/bias": np.array([1, 2], "float32")})
    after = values_of(model)
    assert after.pop("fc/bias").tolist() == [1, 2]
    assert all(np.array_equal(after[name], before[name]) for name in after)


def test_only_changed_constants_are_traced_anew():
    model = model_of(Scale(name="scale"))
    model.predict(X, verbose=0)
    traced = model.predict_function
    assignment.assign(model, {**values_of(model), "fc/bias": np.ones(2, "float32")})
    assert model.predict_function is traced
    assignment.assign(model, {"scale/factor": np.array(4, "float32")})
    assert model.predict_function is not traced


def test_adapters_are_not_merged_into_their_kernel():
    model = model_of(Scale(name="scale"))
    model.get_layer("fc").enable_lora(1)
    values = {name: np.ones_like(value) for name, value in values_of(model).items()}
    assignment.assign(model, values)
    assert all(np.all(value == 1) for value in values_of(model).values())
    np.testing.assert_array_equal(model(np.ones((1, 3))), [[7, 7]])


@pytest.mark.parametrize(
    "values, problem",
    [
        ({"fc/bias": np.ones(2), "other/bias": np.ones(2)}, "no variable of that name"),
        ({"fc/bias": np.ones(2), "scale/factor": np.ones(3)}, r"of shape \(3,\)"),
        ({"fc/bias": np.ones(2), "scale/factor": np.array(4.0)}, "does not load"),
    ],
)
def test_a_refusal_leaves_the_model_as_it_was(values, problem):
    model = model_of(StaleScale(name="scale"))
    before = values_of(model)
    with pytest.raises(ValueError, match=problem):
        assignment.assign(model, values)
    after = values_of(model)
    assert all(np.array_equal(after[name], before[name]) for name in before)
    assert model.get_layer("scale").constant == 1


def test_a_ticket_of_a_model_with_constants_predicts_as_it_did():
    model = model_of(adapted(5 * X + 3))
    lottery = Lottery(model)
    lottery.prune(0.5)
    other = model_of(keras.layers.Normalization(name="scale"))
    applied = Ticket.of(lottery).apply(other)
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    assert applied.sparsity == 0.5


def test_a_ticket_that_a_layer_refuses_leaves_the_model_as_it_was():
    model = model_of(StaleScale(name="scale"))
    lottery = Lottery(model)
    lottery.prune(0.5)
    ticket = Ticket.of(lottery)
    ticket = Ticket(ticket.masks, {**ticket.values, "scale/factor": np.array(4, "float32")})
    other = model_of(StaleScale(name="scale"))
    before = values_of(other)
    with pytest.raises(TicketError, match="does not load"):
        ticket.apply(other)
    after = values_of(other)
    assert all(np.array_equal(after[name], before[name]) for name in before)
    Lottery(other)  # there are no masks on it
