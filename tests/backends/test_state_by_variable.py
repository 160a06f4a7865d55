"""State is paired by variable: compiled anew, unfrozen, built late, adapted, averaged."""

import keras
import numpy as np
import pytest
from watch import BACKEND, assert_held

import keras_lottery as kl
from keras_lottery import schedules
from keras_lottery.model.arrays import array

X = np.random.default_rng(0).normal(size=(12, 4)).astype("f4")
Y = np.random.default_rng(1).normal(size=(12, 3)).astype("f4")


def make(*first):
    """The same weights each time."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            *first,
            keras.layers.Dense(6, "tanh", name="fc1"),
            keras.layers.Dense(6, "tanh", name="fc2"),
            keras.layers.Dense(3, name="output"),
        ]
    )


def fit(model, *callbacks, **arguments):
    return model.fit(
        X, Y, batch_size=6, shuffle=False, verbose=0, callbacks=list(callbacks), **arguments
    )


def state(model, optimizer):
    return [array(variable) for variable in (*model.variables, *optimizer.variables)]


def test_compiled_anew_with_another_optimizer_and_rewound():
    """Before a step of it and after: it then trains as one that is new."""
    model = make()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    fit(model)
    masks = lottery.masks
    model.compile(keras.optimizers.Lamb(0.02, global_clipnorm=0.1), "mse")
    for _ in range(2):
        lottery.rewind()
        assert int(model.optimizer.iterations) == 0
        fit(model)
        assert_held(lottery)
    lottery.detach()
    new = make()
    new.compile(keras.optimizers.Lamb(0.02, global_clipnorm=0.1), "mse")
    other = kl.Lottery(new, masks=masks)
    fit(new)
    other.detach()
    for ours, theirs in zip(state(model, model.optimizer), state(new, new.optimizer), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_optimizer_that_comes_after_a_late_rewind_point_is_refused_and_nothing_changed():
    model = make()
    model.compile("adam", "mse")
    lottery = kl.Lottery(model)
    fit(model)
    lottery.save_rewind_point(step=2)
    lottery.prune(0.5)
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Lion(0.01)), "mse")
    fit(model)
    before = state(model, model.optimizer)
    for action in (lottery.rewind, lottery.rewind_optimizer):
        with pytest.raises(ValueError, match=r"compiled anew.*step 2.*LossScaleOptimizer of Lion"):
            action()
    for one, other in zip(before, state(model, model.optimizer), strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_that_are_unfrozen_between_two_fits():
    """One `Prune` keeps the kernels of its first fit, and names those that came since."""
    model = make()
    model.get_layer("fc1").trainable = False
    model.compile("adam", "mse")
    frozen = array(model.get_layer("fc1").kernel)
    prune = kl.Prune(schedules.geometric(0.3))
    with pytest.warns(UserWarning, match=r"Frozen kernels are left dense: 'fc1/kernel' \(24 wei"):
        fit(model, prune, epochs=2)
    np.testing.assert_array_equal(array(model.get_layer("fc1").kernel), frozen)
    model.get_layer("fc1").trainable = True
    model.get_layer("output").trainable = False
    model.compile(keras.optimizers.RMSprop(0.01, momentum=0.9), "mse")
    with pytest.warns(UserWarning) as said:
        fit(model, prune, initial_epoch=2, epochs=4)
    came, gone = [str(one.message) for one in said if one.category is UserWarning]
    assert "'fc1/kernel' (24 weights) became trainable" in came
    assert "'output/kernel' (18 weights) were frozen" in gone
    assert prune.lottery.names == ["fc2/kernel", "output/kernel"]
    assert_held(prune.lottery)
    assert np.mean(array(model.get_layer("fc1").kernel) != frozen) > 0.5  # trained, and dense
    prune.lottery.rewind()
    np.testing.assert_array_equal(array(model.get_layer("fc1").kernel), frozen)
    assert int(model.optimizer.iterations) == 0


def test_a_new_callback_after_layers_were_unfrozen_is_told_why_it_differs():
    model = make()
    model.get_layer("fc1").trainable = False
    model.compile("sgd", "mse")
    fit(model, kl.Prune(schedules.constant(0.5), kl.Recipe(exclude="fc1")))
    fit(model, kl.Prune(schedules.constant(0.5), kl.Recipe(exclude="fc1")))
    model.get_layer("fc1").trainable = True
    model.get_layer("fc2").trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"made with another `include` and `exclude`.*unfrozen"):
        fit(model, kl.Prune(schedules.constant(0.5), kl.Recipe(exclude="output")))


class Helped(keras.Model):
    """Deep supervision: a head that only training calls, and so only training builds."""

    def __init__(self):
        super().__init__()
        self.body = keras.layers.Conv1D(4, 2, name="body")
        self.flat = keras.layers.Flatten()
        self.out = keras.layers.Dense(3, name="out")
        self.helper = keras.layers.Dense(3, name="helper")

    def call(self, inputs, training=False):
        """The output, with a little of the helper's in training."""
        features = self.flat(self.body(inputs[..., None]))
        return self.out(features) + 0.1 * self.helper(features) if training else self.out(features)


@pytest.mark.filterwarnings("ignore:`build")
@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras builds optimizers without the head")
def test_a_head_that_only_training_builds():
    model = Helped()
    model(X[:1])
    model.compile("adam", "mse")
    prune = kl.Prune(schedules.constant(0.5, begin=1))
    fit(model, prune, epochs=2)
    lottery = prune.lottery
    assert_held(lottery)
    assert "helper/kernel" not in lottery.alive_counts
    before = state(model, model.optimizer)
    with pytest.raises(ValueError, match=r"made after the rewind point.*helper.*training=True"):
        lottery.rewind()
    for one, other in zip(before, state(model, model.optimizer), strict=True):
        np.testing.assert_array_equal(one, other)
    lottery.save_rewind_point(step=int(model.optimizer.iterations))
    lottery.rewind()  # as it says


def test_a_head_that_is_built_in_time():
    model = Helped()
    model(X[:1], training=True)
    model.compile("adam", "mse")
    lottery = kl.Lottery(model)
    assert any("helper" in name for name in lottery.names)
    lottery.prune(0.5)
    fit(model)
    lottery.rewind()
    assert int(model.optimizer.iterations) == 0
    assert_held(lottery)


def adaptable(kind):
    layers = {
        "dense": [keras.Input((4,)), keras.layers.Dense(6, name="layer")],
        "einsum": [keras.Input((4,)), keras.layers.EinsumDense("ab,bc->ac", 6, name="layer")],
        "conv": [
            keras.Input((4, 1)),
            keras.layers.Conv1D(6, 2, name="layer"),
            keras.layers.Flatten(),
        ],
        "embedding": [
            keras.Input((4,), dtype="int32"),
            keras.layers.Embedding(9, 6, name="layer"),
            keras.layers.Flatten(),
        ],
    }[kind]
    return keras.Sequential([*layers, keras.layers.Dense(3, name="output")])


@pytest.mark.parametrize(
    "kind, pruned",
    [("dense", "freeze"), ("einsum", "zero"), ("conv", "freeze"), ("embedding", "zero")],
)
def test_lora_on_a_masked_layer(kind, pruned):
    """Adapters that add nothing are harmless; trained ones are said, and cannot be stripped."""
    model = adaptable(kind)
    lottery = kl.Lottery(model, kl.Recipe(include="layer", hold_at=pruned))
    lottery.prune(0.5)
    name, mask = next(iter(lottery.masks.items()))
    dead = int(np.count_nonzero(~mask))
    layer = model.get_layer("layer")
    layer.enable_lora(2)
    assert lottery.revived_by_adapters() == {}
    lottery.check()
    second = next(
        v for v in model.trainable_variables if v.name.startswith("lora_") and "_b" in v.name
    )
    second.assign(np.ones(second.shape))
    assert lottery.revived_by_adapters() == {name: dead}
    with pytest.warns(UserWarning, match=rf"what LoRA adds.*'{name}' \({dead} of {dead}\)"):
        lottery.check()
    with pytest.raises(kl.MaskError, match=rf"what LoRA adds.*'{name}' \({dead} of {dead}\)"):
        kl.strip(model)
    assert kl.Lottery.on(model) is lottery
    lottery.rewind()  # the adapters add nothing again
    kl.strip(model)


def test_lora_trained_beside_masks():
    """The stored kernel keeps its mask; the optimizer is paired with what it trains."""
    model = make()
    model.compile("adam", "mse")
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    fit(model)
    start = array(model.get_layer("fc1").kernel)
    model.get_layer("fc1").enable_lora(2)
    model.compile(keras.optimizers.Adam(0.1), "mse")
    fit(model)
    with pytest.warns(UserWarning, match=r"'fc1/kernel' \(12 of 12\)"):
        lottery.check()
    np.testing.assert_array_equal(array(model.get_layer("fc1")._kernel), start)
    with pytest.warns(UserWarning, match="what LoRA adds"):
        lottery.prune(0.7)
    assert_held(lottery)
    lottery.rewind()
    assert int(model.optimizer.iterations) == 0
    fit(model)
    assert_held(lottery)


@pytest.mark.skipif(BACKEND == "torch", reason="its int8 needs another engine")
@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`")
@pytest.mark.parametrize("all_of_it", [True, False])
def test_quantized_under_the_masks(all_of_it):
    model = make()
    model.compile("adam", "mse")
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    fit(model)
    if all_of_it:
        model.quantize("int8")
    else:
        model.get_layer("fc2").quantize("int8")
    gone = "fc1/kernel, fc2/kernel, output/kernel" if all_of_it else "fc2/kernel"
    for action in (
        lottery.check,
        lottery.rewind,
        lottery.save_rewind_point,
        lottery.enforce,
        lambda: lottery.prune(0.7),
        lambda: kl.Ticket.of(lottery),
    ):
        with pytest.raises(kl.MaskError, match=rf"no longer has.*masked: {gone}\. `quantize`"):
            action()
    with pytest.raises((kl.MaskError, ValueError), match=r"quantize|no masks to strip"):
        kl.strip(model)


@pytest.mark.parametrize("order, scaled", [(1, True), (-1, False)])
def test_averaged_weights_beside_a_rewind(order, scaled):
    """`SwapEMAWeights` before `Prune` or after: after a rewind both are the initial weights."""
    model = make()
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8)
    outer = keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
    model.compile(outer, "mse")
    start = array(model.get_layer("fc2").kernel)
    prune = kl.Prune(schedules.geometric(0.3), rewind=kl.rewind.to_start())
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                self.model  # noqa: B018 - on JAX it fills the variables
                seen.append(array(self.model.get_layer("fc2").kernel))

    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    fit(model, *[prune, swap][::order], Look(), epochs=3)
    lottery = prune.lottery
    alive = sum(lottery.alive_counts.values())
    assert sum(np.count_nonzero(array(kernel)) for kernel in lottery._kernels.values()) == alive
    assert alive < 78
    lottery.check()
    for kernel in seen[1:]:
        np.testing.assert_array_equal(kernel, np.where(kernel, start, 0))
    lottery.rewind()
    kernels = optimizer._trainable_variables
    for kernel, average in zip(kernels, optimizer._model_variables_moving_average, strict=True):
        np.testing.assert_array_equal(array(kernel), array(average))


def normalized():
    layer = keras.layers.Normalization(name="scale")
    layer.adapt(7 * X + 2)
    return make(layer)


def test_an_adapted_normalization_under_rewind_prune_and_rounds():
    """It computes with constants of its variables; they are what they were."""
    model = normalized()
    model.compile("sgd", "mse")
    scaled = array(model.get_layer("scale")(X))
    prune = kl.Prune(schedules.geometric(0.5, begin=1), rewind=kl.rewind.to_start())
    fit(model, prune, epochs=3)
    np.testing.assert_allclose(array(model.get_layer("scale")(X)), scaled, rtol=1e-6)
    lottery = prune.lottery
    model.get_layer("scale").adapt(X)  # by mistake, in between: a rewind takes it back
    lottery.rewind()
    reference = normalized()
    kl.Lottery(reference, masks=lottery.masks)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), reference.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )

    def compiled():
        model = normalized()
        model.compile("sgd", "mse")
        return model

    for found in kl.rounds(compiled, count=1, rate=0.5):
        fit(found.model, *found.callbacks)
        np.testing.assert_allclose(array(found.model.get_layer("scale")(X)), scaled, rtol=1e-6)
