import keras
import numpy as np
import pytest
import tiny

import keras_lottery as kl
from keras_lottery.training import evaluator, fit
from keras_lottery.training.data import Samples
from keras_lottery.training.plain import Batches


def test_the_batches_of_an_epoch_are_those_of_its_order():
    samples = Samples((np.arange(10), np.arange(10)), batch_size=4, seed=1)
    batches = Batches(samples)
    setter = batches.epoch_setter()
    for epoch in (2, 0):
        setter.on_epoch_begin(epoch, None)
        seen = [batches[step][0] for step in range(len(batches))]
        assert list(map(len, seen)) == [4, 4, 2]
        assert np.concatenate(seen).tolist() == samples.order(epoch).tolist()


def test_every_epoch_of_model_fit_has_its_own_order():
    seen = []

    class Seen(keras.Sequential):
        def train_step(self, *arguments):
            seen.append(keras.ops.convert_to_numpy(arguments[-1][0])[:, 0])
            return super().train_step(*arguments)

    model = Seen([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.arange(5.0).reshape(5, 1)
    fit(model, x, x, batch_size=2, epochs=2, seed=3, verbose=0)
    orders = [Samples(x, 2, seed=3).order(epoch) for epoch in (0, 1)]
    assert np.concatenate(seen).tolist() == np.concatenate(orders).tolist()


def test_an_array_alone_reaches_the_train_step_alone():
    class Alone(keras.Sequential):
        def train_step(self, *arguments):
            assert not isinstance(arguments[-1], tuple)
            return super().train_step(*arguments)

    x, _ = tiny.samples()
    for fused in ("auto", "never"):
        model = Alone([keras.Input((6,)), keras.layers.Dense(6, activity_regularizer="l2")])
        model.compile("sgd")
        assert fit(model, x, fused=fused, verbose=0).history["loss"]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="fused on other backends")
def test_on_torch_fit_is_model_fit_also_with_masks():
    x, y = tiny.samples()
    arguments = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    models = [tiny.dense(), tiny.dense()]
    for model in models:
        kl.Lottery(model).prune(0.5)
    history = fit(models[0], x, y, validation_data=(x, y), **arguments)
    assert history.params["fused"] == "plain"
    assert history.params["fused_reason"] == "the backend is torch"
    plain = models[1].fit(x, y, validation_data=(x, y), **arguments)
    tiny.assert_same(models[0], history, models[1], plain, 1e-7)
    kl.Lottery.on(models[0]).check()
    with pytest.raises(ValueError, match="is not possible: the backend is torch"):
        fit(models[0], x, y, fused="always")
    expected = models[0].evaluate(x, y, return_dict=True, verbose=0)
    assert evaluator(models[0], x, y)() == pytest.approx(expected)
