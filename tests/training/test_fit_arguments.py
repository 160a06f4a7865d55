"""What `fit` takes beside arrays and sizes: Keras' limits, splits, a model's own `fit`, pandas."""

import sys
import types

import keras
import numpy as np
import pytest
import tiny

from keras_lottery.training import fit
from keras_lottery.training.data import Samples

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="on torch, fit is model.fit"
)


@pytest.fixture
def limited():
    """Two epochs of three steps at most, as for short runs."""
    keras.config.set_max_epochs(2)
    keras.config.set_max_steps_per_epoch(3)
    yield
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


@pytest.mark.filterwarnings("ignore:Limiting steps_per_epoch", "ignore:Your input ran out")
@pytest.mark.parametrize("fused", ["always", "never"])
@pytest.mark.long
def test_the_limits_of_the_configuration_hold(limited, fused):
    x, y = tiny.samples()
    arguments = {"batch_size": 8, "validation_data": (x, y), "verbose": 0}
    model, other = tiny.dense(), tiny.dense()
    with pytest.warns(UserWarning, match="Limiting epochs to 2"):
        history = fit(model, x, y, epochs=3, seed=4, fused=fused, **arguments)
    # The first three batches of each epoch, and of the validation.
    order = np.concatenate([Samples(x, 8, seed=4).order(epoch)[:24] for epoch in range(2)])
    losses = [
        other.fit(x[some], y[some], shuffle=False, **arguments).history["val_loss"]
        for some in (order[:24], order[24:])
    ]
    np.testing.assert_allclose(history.history["val_loss"], np.ravel(losses), atol=1e-5)
    assert history.epoch == [0, 1]
    assert int(model.optimizer.iterations) == 6


@pytest.mark.parametrize("fused", ["always", "never"])
def test_the_last_samples_are_split_off_for_validation(fused):
    x, y = tiny.samples()
    arguments = {"validation_split": 0.3, "shuffle": False, "verbose": 0}
    arguments["sample_weight"] = np.linspace(0, 2, 50)
    model, other = tiny.dense(), tiny.dense()
    # Thirty-two samples in a batch, where none is given.
    history = fit(model, x, y, fused=fused, batch_size=None, **arguments)
    tiny.assert_same(model, history, other, other.fit(x, y, **arguments), 1e-6)
    assert "val_loss" in history.history


def test_what_cannot_be_split_is_an_error():
    x, y = tiny.samples()
    with pytest.raises(ValueError, match=r"received 0\.99 for 50 samples"):
        fit(tiny.dense(), x, y, validation_split=0.99, verbose=0)
    with pytest.raises(ValueError, match="needs arrays: use `validation_data`"):
        fit(tiny.dense(), iter([(x, y)]), validation_split=0.5, verbose=0)


def test_a_fit_of_the_models_own_is_given_only_what_was_given():
    class Narrow(keras.Sequential):
        def fit(self, data, labels, epochs=1):
            assert isinstance(data, np.ndarray)
            return super().fit(data, labels, epochs=epochs, verbose=0)

    model = tiny.compile_as_classifier(Narrow([keras.layers.Dense(tiny.CLASSES)]), "sgd")
    history = fit(model, *tiny.samples(), epochs=2)
    assert history.epoch == [0, 1]
    assert history.params["fused_reason"] == "the model has its own fit"


def test_a_fit_of_the_models_own_has_to_return_its_history():
    class Silent(keras.Sequential):
        result = None

        def fit(self, x, y):
            return self.result

    model = tiny.compile_as_classifier(Silent([keras.layers.Dense(tiny.CLASSES)]), "sgd")
    model.history = keras.callbacks.History()  # of an earlier training
    with pytest.raises(TypeError, match=r"`Silent\.fit` must return .*History.*: received None"):
        fit(model, *tiny.samples())
    model.result = keras.callbacks.History()
    assert fit(model, *tiny.samples()).params["fused"] == "plain"


class Series:
    """The part of a pandas series that is read."""

    def __init__(self, array):
        self.array = array

    def to_numpy(self):
        return self.array


def test_pandas_is_taken_for_arrays(monkeypatch):
    pandas = types.SimpleNamespace(Series=Series, DataFrame=type("DataFrame", (Series,), {}))
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    x, y = tiny.samples()
    model, other = tiny.dense(), tiny.dense()
    history = fit(model, pandas.DataFrame(x), Series(y), batch_size=10, verbose=0, fused="always")
    tiny.assert_same(model, history, other, fit(other, x, y[:, None], batch_size=10, verbose=0), 0)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("name", ["x", "y"])
def test_other_arrays_keep_their_batch_size_and_shuffling(monkeypatch, name, shuffle):
    model, seen = tiny.dense(), {"shuffle": True}

    def model_fit(*data, **arguments):
        seen.update(arguments)
        return keras.callbacks.History()

    monkeypatch.setattr(model, "fit", model_fit)
    x, y = tiny.samples()
    arrays = {"x": x, "y": y} | {name: np.array(["a"] * len(x))}
    history = fit(model, **arrays, batch_size=10, shuffle=shuffle, verbose=0)
    assert (seen["batch_size"], seen["shuffle"]) == (10, shuffle)
    assert history.params["fused_reason"] == f"`{name}` (ndarray) is not arrays of numbers"
