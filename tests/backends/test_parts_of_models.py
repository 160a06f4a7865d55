"""Masks over a part of a model, which is trained through the whole."""

import gc

import keras
import numpy as np
import pytest
from loops import compiled_step
from watch import BACKEND, assert_held

import keras_lottery as kl
from keras_lottery.model.arrays import array

X = np.random.default_rng(0).normal(size=(12, 6, 6, 2)).astype("f4")
Y = np.random.default_rng(1).normal(size=(12, 3)).astype("f4")


def backbone():
    """Kernels of rank 4 and 2."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, "tanh", name="features"),
        ],
        name="backbone",
    )


class Subclassed(keras.Model):
    """A whole with the part in a list, and a head."""

    def __init__(self, part):
        super().__init__()
        self.parts = [part]
        self.head = keras.layers.Dense(3, name="head")

    def call(self, inputs):
        """The head of the part's features."""
        return self.head(self.parts[0](inputs))


def sequential(part):
    return keras.Sequential([keras.Input((6, 6, 2)), part, keras.layers.Dense(3, name="head")])


def nested_twice(part):
    inputs = keras.Input((6, 6, 2))
    middle = keras.Model(inputs, keras.layers.Dropout(0.1)(part(inputs)), name="middle")
    return sequential(middle)


def subclassed(part):
    whole = Subclassed(part)
    whole(X[:1])
    return whole


@pytest.mark.parametrize("make", [nested_twice, subclassed])
def test_a_whole_that_was_fitted_before_the_masks(make):
    """Pruned, trained on, pruned again and rewound, without a word."""
    part = backbone()
    whole = make(part)
    whole.compile(keras.optimizers.Adam(0.01, clipnorm=0.1), "mse")
    whole.fit(X, Y, verbose=0)
    start = array(part.get_layer("conv").kernel)
    lottery = kl.Lottery(part)
    for sparsity in (0.4, 0.7):
        lottery.prune(sparsity)
        whole.fit(X, Y, verbose=0)
        assert_held(lottery)
        lottery.check()
    mask = lottery.masks["conv/kernel"]
    slot = whole.optimizer._momentums[whole.trainable_variables.index(part.layers[0].kernel)]
    assert not array(slot)[~mask].any()
    lottery.rewind()
    np.testing.assert_array_equal(array(part.get_layer("conv").kernel), start * mask)
    assert int(whole.optimizer.iterations) == 1  # it goes with the kernels that it trains
    whole.fit(X, Y, verbose=0)
    kl.strip(part)
    whole.fit(X, Y, verbose=0)
    assert array(part.get_layer("conv").kernel).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_whole_that_is_compiled_after_the_masks(compiled):
    part = backbone()
    if compiled:
        part.compile("sgd", "mse")
    lottery = kl.Lottery(part)
    lottery.prune(0.5)
    whole = nested_twice(part) if compiled else subclassed(part)
    for optimizer in (keras.optimizers.RMSprop(0.01, momentum=0.5), keras.optimizers.Adam(0.01)):
        whole.compile(optimizer, "mse")
        whole.fit(X, Y, verbose=0)
        assert_held(lottery)
        lottery.check()
        lottery.prune(rate=0.4)
        whole.fit(X, Y, verbose=0)
        assert_held(lottery)
    assert_held(lottery)
    lottery.rewind()
    assert int(whole.optimizer.iterations) == 0
    lottery.detach()
    assert len(optimizer.variables) == 2 + 2 * len(whole.trainable_variables)


@pytest.mark.long
def test_a_whole_that_is_gone_says_nothing():
    """Its optimizer stepped, and cannot any more."""
    part = backbone()
    whole = sequential(part)
    whole.compile("adam", "mse")
    whole.fit(X, Y, verbose=0)
    del whole
    gc.collect()
    other = sequential(part)
    other.compile("sgd", "mse")
    lottery = kl.Lottery(part)
    lottery.prune(0.5)
    other.fit(X, Y, verbose=0)
    assert_held(lottery)


def test_two_wholes_around_one_part():
    part = backbone()
    wholes = [sequential(part), subclassed(part)]
    for whole, optimizer in zip(wholes, ("adam", "sgd"), strict=True):
        whole.compile(optimizer, "mse")
        whole.fit(X, Y, verbose=0)
    lottery = kl.Lottery(part)
    lottery.prune(0.5)
    for whole in wholes:
        whole.fit(X, Y, verbose=0)
        assert_held(lottery)
    lottery.check()


def test_a_callback_in_the_fit_of_the_whole_prunes_all_of_it_and_the_part_has_the_masks():
    part = backbone()
    whole = sequential(part)
    whole.compile("adam", "mse")
    prune = kl.Prune(kl.schedules.constant(0.5), kl.Recipe(include="conv|features"))
    whole.fit(X, Y, verbose=0, callbacks=[prune])
    assert kl.Lottery.on(part) is prune.lottery
    with pytest.raises(ValueError, match="has masks already"):
        kl.Lottery(part)
    assert kl.strip(part) is part
    assert kl.Lottery.on(whole) is None


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled on torch")
def test_a_part_that_was_trained_in_a_loop_through_the_whole():
    part = backbone()
    whole = sequential(part)
    optimizer = keras.optimizers.SGD(0.1, name="around")
    step = compiled_step(whole, optimizer)
    step(X, Y)
    with pytest.warns(UserWarning, match=r"SGD \('around', 1 steps\) stepped already"):
        lottery = kl.Lottery(part)
    lottery.prune(0.5)
    step(X, Y)
    with pytest.raises(kl.MaskError, match=r"SGD \('around', 2 steps\) stepped since"):
        kl.Ticket.of(lottery)
    with pytest.raises(kl.MaskError, match=r"SGD \('around', 2 steps\) stepped since"):
        kl.strip(part)


class Adversaries(keras.Model):
    """A generator and a discriminator, with an optimizer each, in a `train_step` of one's own."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(8, "relu", name="g1"), keras.layers.Dense(4)],
            name="generator",
        )
        self.discriminator = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(8, "relu", name="d1"), keras.layers.Dense(1)],
            name="discriminator",
        )
        self.built = True

    def compile(self, optimizers):
        """With the optimizer of the generator and that of the discriminator."""
        super().compile()
        self.optimizers = dict(zip(("generator", "discriminator"), optimizers, strict=True))

    def call(self, noise):
        """What the discriminator thinks of generated examples."""
        return self.discriminator(self.generator(noise))

    def train_step(self, data):
        """A step of each."""
        import tensorflow as tf

        noise, real = data
        for name, sign in (("discriminator", 1.0), ("generator", -1.0)):
            part = getattr(self, name)
            with tf.GradientTape() as tape:
                loss = sign * tf.reduce_mean(self(noise) - self.discriminator(real))
            gradients = tape.gradient(loss, [v.value for v in part.trainable_variables])
            self.optimizers[name].apply(gradients, part.trainable_variables)
        return {"loss": loss}


NOISE, REAL = X.reshape(12, -1)[:, :3], X.reshape(12, -1)[:, 3:7]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras has one optimizer a model on JAX")
@pytest.mark.parametrize("whole, fit_first", [(True, True), (False, True), (False, False)])
def test_a_generator_and_its_adversary(whole, fit_first):
    """The masks are the generator's, or both's."""
    model = Adversaries()
    model.compile([keras.optimizers.Adam(0.01, global_clipnorm=1.0), keras.optimizers.Lamb(0.01)])
    if fit_first:
        model.fit(NOISE, REAL, verbose=0)
    lottery = kl.Lottery(model if whole else model.generator)
    lottery.prune(0.5)
    start = array(model.generator.layers[0].kernel)
    model.fit(NOISE, REAL, epochs=2, verbose=0)
    assert_held(lottery)
    assert np.any(array(model.generator.layers[0].kernel) != start)
    lottery.check()
    lottery.rewind()
    np.testing.assert_array_equal(array(model.generator.layers[0].kernel), start)
    steps = {name: int(optimizer.iterations) for name, optimizer in model.optimizers.items()}
    assert steps["generator"] == int(fit_first)
    if whole:
        assert steps["discriminator"] == int(fit_first)
    model.fit(NOISE, REAL, verbose=0)
    kl.strip(lottery.model, at_least=0.5)
