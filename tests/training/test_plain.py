import keras
import numpy as np

from keras_lottery.training import fit
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
