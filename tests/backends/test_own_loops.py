"""Loops of a user's own: their optimizers are named, found, or said to have stepped unseen."""

import warnings

import keras
import numpy as np
import pytest
from loops import compiled_step
from watch import BACKEND, assert_held

import keras_lottery as kl
from keras_lottery.model.arrays import array

X = np.random.default_rng(0).normal(size=(12, 5, 4)).astype("f4")
Y = np.random.default_rng(1).normal(size=(12, 3)).astype("f4")


def make():
    """Kernels of rank 3 and 2; batch statistics; never compiled."""
    return keras.Sequential(
        [
            keras.Input((5, 4)),
            keras.layers.Conv1D(6, 2, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, "tanh", name="hidden"),
            keras.layers.Dense(3, name="output"),
        ]
    )


def slot_of(optimizer, kernel):
    index = [id(v) for v in optimizer._trainable_variables].index(id(kernel))
    return optimizer._momentums[index]


def test_a_named_optimizer():
    """Made before it is built; pruned again and rewound under one compiled step."""
    model, optimizer = make(), keras.optimizers.Lamb(0.05)
    lottery = kl.Lottery(model, optimizer=optimizer)
    start = array(model.get_layer("conv").kernel)
    step = compiled_step(model, optimizer)
    step(X, Y)
    for sparsity in (0.3, 0.6):
        lottery.prune(sparsity)
        step(X, Y)
        step(X, Y)
        assert_held(lottery)
        lottery.check()
        for name, kernel in lottery._kernels.items():
            mask, slot = lottery.masks[name], array(slot_of(optimizer, kernel))
            assert not slot[~mask].any(), name
            assert slot[mask].all(), name
    lottery.rewind()
    assert int(optimizer.iterations) == 0
    mask = lottery.masks["conv/kernel"]
    np.testing.assert_array_equal(array(model.get_layer("conv").kernel), start * mask)
    assert not any(array(slot_of(optimizer, kernel)).any() for kernel in lottery._kernels.values())
    step(X, Y)
    assert_held(lottery)
    assert int(optimizer.iterations) == 1
    kl.strip(model)
    step(X, Y)
    assert array(model.get_layer("conv").kernel).all()  # nothing holds them any more


def test_several_named_optimizers_each_with_its_part():
    """Beside the one that the model was compiled with, which does not step."""
    model = make()
    model.compile("sgd", "mse")
    parts = model.layers[:2], model.layers[2:]
    optimizers = [keras.optimizers.SGD(0.1, momentum=0.9), keras.optimizers.Adam(0.01)]
    for optimizer, layers in zip(optimizers, parts, strict=True):
        optimizer.build([v for layer in layers for v in layer.trainable_variables])
    lottery = kl.Lottery(model, optimizer=optimizers)
    lottery.prune(0.5)
    for optimizer in optimizers:
        ones = [keras.ops.ones(v.shape) for v in optimizer._trainable_variables]
        optimizer.apply(ones)
        optimizer.apply(ones)
    assert_held(lottery)
    for optimizer in optimizers:
        for kernel in optimizer._trainable_variables:
            mask = lottery.masks.get(kernel.path)
            if mask is not None:
                assert not array(slot_of(optimizer, kernel))[~mask].any()
    lottery.rewind()
    assert [int(optimizer.iterations) for optimizer in optimizers] == [0, 0]
    lottery.detach()
    assert [len(optimizer.variables) for optimizer in optimizers] == [2 + 4, 2 + 2 * 4]


@pytest.mark.parametrize("wrong", ["adam", keras.optimizers.Adam, [None], 0.1])
def test_what_is_no_optimizer(wrong):
    model = make()
    with pytest.raises(ValueError, match="`optimizer` must be a Keras optimizer or a list"):
        kl.Lottery(model, optimizer=wrong)
    assert kl.Lottery.on(model) is None


def test_an_optimizer_that_nobody_named_stays_known():
    """Of a loop that is not compiled: on JAX its masks move into the optimizer with the next event,
    which was forgotten there, and not rewound."""
    model, optimizer = make(), keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    lottery = kl.Lottery(model)

    def step():
        optimizer.apply([keras.ops.ones(v.shape) for v in model.trainable_variables])

    for sparsity in (0.5, 0.7):
        step()
        lottery.prune(sparsity)
    step()
    lottery.check()
    lottery.rewind()
    assert int(optimizer.iterations) == 0
    for slot in optimizer.momentums:
        assert not array(slot).any()
    step()
    lottery.check()


def test_no_word_of_an_optimizer_that_stepped_in_a_fit():
    """It outlives the next `compile`: here the rewind point of the first `Prune` keeps it."""
    model = make()
    model.compile("adam", "mse")
    prune = kl.Prune(kl.schedules.constant(0.5))
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[prune])
    kl.strip(model)
    model.compile("sgd", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        lottery = kl.Lottery.from_zeros(model)
    model.fit(X, Y, verbose=0)
    lottery.check()
    assert prune.lottery.sparsity == lottery.sparsity == 0.5


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled on torch")
def test_a_step_that_was_compiled_before_the_masks(tmp_path):
    """It cannot know them: said at once, and again by whatever comes next."""
    model, optimizer = make(), keras.optimizers.RMSprop(0.01, name="own")
    step = compiled_step(model, optimizer)
    step(X, Y)
    with pytest.warns(UserWarning, match=r"RMSprop \('own', 1 steps\) stepped already, and no"):
        lottery = kl.Lottery(model)
    lottery.prune(0.5)
    before = array(model.get_layer("output").kernel)
    step(X, Y)
    expected = (
        r"pruned weights have changed \(expected 0\). A step that was compiled before the masks "
        r"were made trains these weights: RMSprop \('own', 2 steps\) stepped since"
    )
    for action in (
        lottery.check,
        lambda: lottery.prune(0.7),
        lottery.save_rewind_point,
        lambda: kl.strip(model),
        lambda: kl.strip(model, at_least=0.5),
    ):
        with pytest.raises(kl.MaskError, match=expected):
            action()
    model.compile("sgd", "mse")
    prune = kl.Prune(kl.schedules.constant(0.5))
    with pytest.raises(kl.MaskError, match=expected):
        model.fit(X, Y, verbose=0, callbacks=[prune])
    assert lottery.sparsity == pytest.approx(0.5, abs=0.01)
    assert np.any(array(model.get_layer("output").kernel) != before)
    # The cure that is said: the weights go back, and the step is made anew.
    lottery.enforce()
    if BACKEND == "jax":
        kl.strip(model)
        with pytest.warns(UserWarning, match="'own', 2 steps"):
            lottery = kl.Lottery.from_zeros(model)
    step = compiled_step(model, optimizer)
    if BACKEND == "jax":  # it has to be named as well
        with pytest.raises(kl.MaskError, match=r"`Lottery\(model, optimizer=the_optimizer\)`"):
            step(X, Y)
        kl.strip(model)
        lottery = kl.Lottery.from_zeros(model, optimizer=optimizer)
        step = compiled_step(model, optimizer)
    step(X, Y)
    lottery.check()


@pytest.mark.skipif(BACKEND != "jax", reason="other backends bake nothing in")
@pytest.mark.parametrize("named", [False, True])
def test_masks_that_jax_would_take_for_constants(named):
    """An optimizer that is not named, or whose variables the step took down before the masks."""
    model, optimizer = make(), keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    taken_down = list(optimizer.variables)
    lottery = kl.Lottery(model, optimizer=optimizer if named else ())
    step = compiled_step(model, optimizer, given=taken_down)
    before = array(model.get_layer("hidden").kernel)
    error, message = (  # Keras refuses a list that is too short
        (ValueError, "optimizer_variables") if named else (kl.MaskError, "for constants and never")
    )
    with pytest.raises(error, match=message):
        step(X, Y)
    np.testing.assert_array_equal(array(model.get_layer("hidden").kernel), before)
    lottery.check()
    assert compiled_step(make(), keras.optimizers.Adam(0.01))(X, Y) is None  # others are served


def test_an_eager_loop_says_nothing_and_is_masked():
    """Steps of before that nothing was compiled from are no reason for a warning."""
    model, optimizer = make(), keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    ones = [keras.ops.ones(v.shape) for v in model.trainable_variables]
    optimizer.apply(ones)
    lottery = kl.Lottery(model, optimizer=optimizer)  # a warning would be an error
    lottery.prune(0.5)
    optimizer.apply(ones)
    assert_held(lottery)
    lottery.check()


def test_a_compiled_model_that_was_loaded_says_nothing(tmp_path):
    """Its optimizer has stepped, in another process or in another life."""
    model = make()
    model.compile(keras.optimizers.Nadam(0.01), "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 1
    lottery = kl.Lottery(loaded)
    lottery.prune(0.5)
    loaded.fit(X, Y, verbose=0)
    lottery.check()
    assert_held(lottery)
    lottery.rewind()
    assert int(loaded.optimizer.iterations) == 1
    model.save_weights(tmp_path / "model.weights.h5")
    lottery.detach()
    loaded.load_weights(tmp_path / "model.weights.h5")
    kl.Lottery(loaded).prune(0.5)
