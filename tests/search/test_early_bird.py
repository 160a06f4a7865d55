"""Training stops when masks have stopped moving, by a distance that means the same everywhere."""

import keras
import numpy as np
import pytest

import keras_lottery as kl

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
Y = X[:, :3]


def network(rate=1e-4):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="fc")])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


class Scramble(keras.callbacks.Callback):
    """New weights in every epoch before the fourth."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch < 3:
            self.model.layers[0].kernel.assign(np.random.default_rng(epoch).normal(size=(8, 3)))


def test_it_stops_after_so_many_masks_alike():
    bird = kl.EarlyBird(0.5, masks=4)
    history = network().fit(X, Y, epochs=20, verbose=0, callbacks=[Scramble(), bird])
    # The masks of epochs 3, 4, 5 and 6 are alike.
    assert bird.epoch == 6 and len(history.history["loss"]) == 6
    assert max(bird.distances[-3:]) < 0.1 < min(bird.distances[:2])
    assert history.history["mask_distance"] == bird.distances
    lottery = kl.Lottery(network(), masks=bird.masks)
    assert lottery.sparsity == 0.5


@pytest.mark.parametrize("sparsity", [0.25, 0.75])
def test_the_distance_of_opposite_masks_is_one(sparsity):
    """A quarter of the weights in one mask, another quarter in the other: 0.5 / (2 * 0.25)."""
    bird = kl.EarlyBird(sparsity)
    one = np.arange(8) < 2
    other = np.arange(8) >= 6
    if sparsity == 0.25:
        one, other = ~one, ~other
    assert bird._distance({"fc": one}, {"fc": other}) == 1
    assert bird._distance({"fc": one}, {"fc": one}) == 0


def test_at_a_high_sparsity_it_does_not_fire_at_once():
    """Two random masks of 95 % differ in less than a tenth of the weights."""
    bird = kl.EarlyBird(0.95, kl.Recipe("large_final", scope="globally"), masks=2)
    network().fit(X, Y, epochs=2, verbose=0, callbacks=[Scramble(), bird])
    assert bird.epoch is None and bird.distances[0] > 0.5


def test_nothing_is_left_on_the_model():
    model, plain = network(0.1), network(0.1)
    model.fit(X, Y, epochs=3, verbose=0, shuffle=False, callbacks=[kl.EarlyBird(0.5, below=1e-9)])
    plain.fit(X, Y, epochs=3, verbose=0, shuffle=False)
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert kl.Lottery.on(model) is None


def test_a_second_fit_begins_anew():
    bird, model = kl.EarlyBird(0.5, masks=3), network()
    for _ in range(2):
        model.fit(X, Y, epochs=10, verbose=0, callbacks=[bird])
        assert bird.epoch == 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sparsity": 0}, r"`sparsity` must be in \(0, 1\), received 0"),
        ({"sparsity": 0.5, "masks": 1}, "`masks` must be 2 or more, received 1"),
        ({"sparsity": 0.5, "below": 0}, r"`below` must be in \(0, 1\], received 0"),
        ({"sparsity": 0.5, "recipe": "snip"}, "masks are drawn by one criterion without data"),
        ({"sparsity": 0.5, "recipe": "large_finl"}, "No 'large_finl' in criteria or scorers"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        kl.EarlyBird(**arguments)
