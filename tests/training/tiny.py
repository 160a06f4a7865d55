"""Tiny compiled models and data for the tests of training."""

import keras
import numpy as np

CLASSES = 3


def samples(shape=(6,), count=50):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, *shape)).astype("float32")
    return x, rng.integers(0, CLASSES, count)


def dense(*hidden, compiled="adam", **arguments):
    """A compiled dense classifier; the same weights in every call."""
    keras.utils.set_random_seed(1)
    layers = hidden or (keras.layers.Dense(8, "relu", name="hidden"),)
    model = keras.Sequential(
        [keras.Input((6,)), *layers, keras.layers.Dense(CLASSES, "softmax", name="output")]
    )
    return compile_as_classifier(model, compiled, **arguments)


def convolutional():
    """A compiled convolutional classifier of 6x6 images, with augmentation."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.RandomFlip("horizontal", seed=2),
            keras.layers.Conv2D(4, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPool2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, "softmax"),
        ]
    )
    return compile_as_classifier(model, "adam", jit_compile=False)


def compile_as_classifier(model, optimizer, metrics=("accuracy",), **arguments):
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics), **arguments)
    return model


def state(model):
    """All values that training changes, in a fixed order."""
    variables = [*model.weights, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable).astype("float64") for variable in variables]


def assert_same(model, history, other, other_history, atol):
    """The same weights, optimizer variables and history; to the bit where `atol` is 0."""
    assert history.epoch == other_history.epoch
    assert history.history.keys() == other_history.history.keys()
    for name, values in other_history.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=0, atol=10 * atol)
    for ours, theirs in zip(state(model), state(other), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)
