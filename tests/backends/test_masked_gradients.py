"""A masked network trains as one whose layers multiply the kernel by the mask: f(x; m * w)."""

import keras
import numpy as np
import pytest

import keras_lottery as kl
from keras_lottery.model.arrays import array as as_array

SHAPE, CLASSES = (6,), 4


class Masked(keras.layers.Layer):
    """The reference: a dense layer with the mask in its forward pass, and no constraint."""

    def __init__(self, kernel, bias, mask, activation):
        super().__init__()
        self.start = kernel, bias
        self.mask = mask.astype("float32")
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        kernel, bias = self.start
        self.kernel = self.add_weight(shape=kernel.shape, name="kernel")
        self.bias = self.add_weight(shape=bias.shape, name="bias")
        self.kernel.assign(kernel)
        self.bias.assign(bias)

    def call(self, inputs):
        return self.activation(keras.ops.matmul(inputs, self.kernel * self.mask) + self.bias)


def masked_model(optimizer, sparsity=0.7):
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Dense(16, "tanh", name="fc1"),
            keras.layers.Dense(CLASSES, name="output"),
        ]
    )
    model.compile(optimizer, "mse")
    lottery = kl.Lottery(model)
    lottery.prune(sparsity)
    return model, lottery


def reference_of(model, lottery, optimizer):
    layers = [
        Masked(as_array(layer.kernel), as_array(layer.bias), mask, layer.activation)
        for layer, mask in zip(model.layers, lottery.masks.values(), strict=True)
    ]
    reference = keras.Sequential([keras.Input(SHAPE), *layers])
    reference.compile(optimizer, "mse")
    # Built by `fit` on TensorFlow, ScheduleFreeAdamW starts from zeros and not from the weights.
    reference.optimizer.build(reference.trainable_variables)
    return reference


def batches(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(48, *SHAPE)).astype("f4"), rng.normal(size=(48, CLASSES)).astype("f4")


def assert_same_training(make_optimizer, epochs=4, tolerance=1e-6, fit=keras.Model.fit):
    x, y = batches()
    model, lottery = masked_model(make_optimizer())
    reference = reference_of(model, lottery, make_optimizer())
    start = as_array(model.layers[0].kernel)
    for trained in (model, reference):
        fit(trained, x, y, epochs=epochs, batch_size=16, shuffle=False, verbose=0)
    for layer, other, mask in zip(
        model.layers, reference.layers, lottery.masks.values(), strict=True
    ):
        expected = as_array(other.kernel) * mask
        assert np.all(np.isfinite(expected))
        np.testing.assert_allclose(as_array(layer.kernel), expected, atol=tolerance)
        np.testing.assert_allclose(as_array(layer.bias), as_array(other.bias), atol=tolerance)
    assert np.abs(as_array(model.layers[0].kernel) - start).max() > 1e-4  # it did train
    lottery.check()
    return model, lottery


# Every optimizer that Keras has: a new one is tested by itself.
NEEDS_ARGUMENTS = {"LossScaleOptimizer", "MultiOptimizer", "Optimizer"}
CLASSES_OF_OPTIMIZERS = sorted(
    name
    for name, value in vars(keras.optimizers).items()
    if isinstance(value, type)
    and issubclass(value, keras.optimizers.Optimizer)
    and name not in NEEDS_ARGUMENTS
)


# Those that look at more than one element, and the plainest; the others take seconds each.
QUICK = {"SGD", "Adam", "Adafactor", "Lamb", "Muon"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.long)
        for name in CLASSES_OF_OPTIMIZERS
    ],
)
def test_every_optimizer(name):
    assert_same_training(lambda: getattr(keras.optimizers, name)(0.01))


SETTINGS = {
    "clipnorm": lambda: keras.optimizers.SGD(0.3, clipnorm=0.05),
    "global_clipnorm": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.05),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "averages": lambda: keras.optimizers.SGD(0.1, clipnorm=0.05, use_ema=True, ema_momentum=0.8),
    "averages written back": lambda: keras.optimizers.SGD(
        0.1, clipnorm=0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4
    ),
    "accumulation": lambda: keras.optimizers.SGD(0.3, clipnorm=0.05, gradient_accumulation_steps=2),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Lamb(0.01), initial_scale=256.0
    ),
    "two optimizers": lambda: keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(0.3, clipnorm=0.05),
            {".*[0-9/]kernel": keras.optimizers.Adam(0.01, global_clipnorm=0.05)},
        )
    ),
    "a schedule": lambda: keras.optimizers.Lamb(
        keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_look_at_more_than_one_weight(name):
    if name == "two optimizers" and not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    assert_same_training(SETTINGS[name])


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="nothing is fused on torch")
@pytest.mark.parametrize("name", ["clipnorm", "loss scaling", "averages"])
def test_fused_training(name):
    assert_same_training(SETTINGS[name], fit=kl.fit)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (lambda: keras.layers.Conv2D(5, 3, name="layer"), (6, 6, 3)),
        (lambda: keras.layers.EinsumDense("abc,cd->abd", (None, 5), name="layer"), (4, 6)),
        (lambda: keras.layers.GRU(5, name="layer"), (4, 6)),
    ],
)
def test_other_ranks_have_no_gradient_where_they_are_dead(layer, shape):
    """The norm that clips is that of the live weights: SGD then moves them by exactly it."""
    model = keras.Sequential([keras.Input(shape), layer(), keras.layers.Flatten()])
    model.compile(keras.optimizers.SGD(1.0, clipnorm=1e-3), "mse")
    lottery = kl.Lottery(model)
    lottery.prune(0.9)
    before = {name: as_array(kernel) for name, kernel in lottery._kernels.items()}
    x = np.random.default_rng(0).normal(size=(8, *shape)).astype("f4")
    model.fit(x, np.ones(model(x).shape), batch_size=8, verbose=0)
    for name, kernel in lottery._kernels.items():
        assert np.linalg.norm(as_array(kernel) - before[name]) == pytest.approx(1e-3, rel=1e-3)


def test_slots_of_dead_weights_keep_their_initial_value_and_revived_ones_start_with_it():
    model, lottery = masked_model(
        keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.25), sparsity=0.0
    )
    x, y = batches()
    model.fit(x, y, verbose=0)
    lottery.prune(0.5)
    masks = lottery.masks
    slot = model.optimizer._accumulators[0]
    mask = masks["fc1/kernel"]
    trained = as_array(slot)
    assert np.all(trained[~mask] == 0.25)
    assert np.all(trained[mask] > 0.25)
    model.fit(x, y, verbose=0)
    assert np.all(as_array(slot)[~mask] == 0.25)
    masks["fc1/kernel"] = ~mask  # the dead come back, the living die
    lottery.set_masks(masks)
    assert np.all(as_array(slot) == 0.25)


def test_adafactor_is_refused_where_it_would_compute_nothing_over_nothing():
    model, lottery = masked_model("adafactor", sparsity=0.0)
    masks = lottery.masks
    masks["fc1/kernel"][0, :] = False
    masks["fc1/kernel"][:, 0] = False
    before = [as_array(variable) for variable in model.variables]
    with pytest.raises(ValueError, match=r"a row and a column of 'fc1/kernel'.*Adafactor"):
        lottery.set_masks(masks)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(as_array(variable), value)
    masks["fc1/kernel"][0, 1] = True  # no row is empty any more
    lottery.set_masks(masks)
    model.fit(*batches(), epochs=3, verbose=0)
    assert np.all(np.isfinite(as_array(model.layers[0].kernel)))


def test_adafactor_with_an_epsilon_whose_square_is_not_zero():
    """The cure that the refusal names."""
    model, lottery = masked_model(keras.optimizers.Adafactor(0.01, epsilon_1=1e-16), sparsity=0.0)
    masks = lottery.masks
    masks["fc1/kernel"][0, :] = False
    masks["fc1/kernel"][:, 0] = False
    lottery.set_masks(masks)
    model.fit(*batches(), epochs=3, verbose=0)
    lottery.check()
    assert np.all(np.isfinite(as_array(model.layers[0].kernel)))


def test_nothing_remains(run_python):
    """After `detach`, nor after a `Lottery` was lost. In a process of its own: here others may have
    masks."""
    printed = run_python(
        """
import functools, gc, weakref
import keras, numpy as np, keras_lottery as kl

BASE = next(c for c in reversed(keras.optimizers.Optimizer.__mro__) if hasattr(c, "apply"))
original = BASE.apply
TRAINER = next(c for c in keras.Model.__mro__ if "make_train_function" in vars(c))
making = TRAINER.make_train_function

def make():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model

def train(model):
    model.fit(np.ones((4, 6)), np.ones((4, 4)), verbose=0)

# After `detach`.
models = [make(), make()]
first, second = map(kl.Lottery, models)
plain = keras.optimizers.Adam(0.01)
plain.build(models[0].trainable_variables)
first.detach()
assert BASE.apply is not original  # the other's masks are still there
assert TRAINER.make_train_function is not making
second.detach()
assert BASE.apply is original
assert TRAINER.make_train_function is making
assert set(vars(models[0].optimizer)) == set(vars(plain))
assert len(models[0].optimizer.variables) == len(plain.variables)
assert "compile" not in vars(models[0])
assert all(variable.constraint is None for variable in models[0].variables)

# After a `Lottery` was lost with its model, not detached.
model, other = models = [make(), make()]
lottery, second = map(kl.Lottery, models)
lottery.prune(0.5)
train(model)
lost = weakref.ref(lottery)
del model, lottery, models[0]
keras.backend.clear_session()
gc.collect()
assert lost() is None
assert BASE.apply is not original
del other, second, models
gc.collect()
assert BASE.apply is original

# What others put around the door stays, before ours or after.
calls = []

def counting(method):
    @functools.wraps(method)
    def apply(self, grads, trainable_variables=None):
        calls.append(1)
        return method(self, grads, trainable_variables)
    return apply

BASE.apply = before = counting(original)
model = make()
lottery = kl.Lottery(model)
lottery.prune(0.5)
BASE.apply = after = counting(BASE.apply)
train(model)
assert calls and len(calls) % 2 == 0
lottery.check()
lottery.detach()
assert BASE.apply is after
train(model)
assert np.all(keras.ops.convert_to_numpy(model.layers[0].kernel))
again = kl.Lottery(model)
again.prune(0.5)
train(model)
again.check()
again.detach()
assert BASE.apply is after
print("clean")
"""
    )
    assert printed.endswith("clean\n")


def test_an_optimizer_of_a_loop_is_masked_without_being_named_where_it_need_not_be():
    if keras.backend.backend() == "jax":
        pytest.skip("on JAX an optimizer has to be named")
    x, y = batches()
    model, lottery = masked_model("sgd")
    reference = reference_of(model, lottery, "sgd")
    for trained in (model, reference):
        optimizer = keras.optimizers.Lamb(0.01)
        for _ in range(5):
            optimizer.apply(gradients(trained, x, y), trained.trainable_variables)
    expected = as_array(reference.layers[0].kernel) * lottery.masks["fc1/kernel"]
    np.testing.assert_allclose(as_array(model.layers[0].kernel), expected, atol=1e-6)


def gradients(model, x, y):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = keras.ops.mean((model(x, training=True) - y) ** 2)
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    model.zero_grad()
    loss = keras.ops.mean((model(x, training=True) - keras.ops.convert_to_tensor(y)) ** 2)
    loss.backward()
    return [variable.value.grad for variable in model.trainable_variables]
