"""A `fit` with `Prune(backup=...)` in a folder, that can be killed and started again."""

import functools

import keras
import numpy as np
import pytest
from fitting import Do, weights

import keras_lottery as kl
from keras_lottery import schedules

EPOCHS = 6
SETTINGS = {
    "least_change": {"schedule": schedules.geometric(0.3), "recipe": "least_change"},
    "random": {"schedule": schedules.geometric(0.3, every=2), "recipe": "random"},
    "rewound": {
        "schedule": schedules.geometric(0.3, every=2, begin=1),
        "rewind": kl.rewind.to_epoch(1),
        "recipe": kl.Recipe(restart_from="reshuffle", hold_at="freeze"),
    },
    # Every epoch ends at the same iteration: the optimizer's count tells nothing.
    "rewound every epoch": {"schedule": schedules.geometric(0.3), "rewind": kl.rewind.to_start()},
    "steps": {"schedule": schedules.polynomial(0.8, begin=2, end=16), "unit": "step"},
}


def fit(model, data, *callbacks, epochs=EPOCHS, **arguments):
    """Three steps an epoch, in a fixed order."""
    return model.fit(
        *data,
        batch_size=28,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    ).history


class Killed(BaseException):
    """As SIGKILL: nobody catches it, and no callback is called any more."""


class Training:
    """A `fit` in a folder, that can be killed and started again."""

    def __init__(self, folder, data, settings, double_checkpoint=False):
        self.folder = folder
        self.data = data
        self.settings = settings
        self.double_checkpoint = double_checkpoint
        self.masks = folder / "masks"
        self.weights = folder / "weights"

    def run(self, *others, prune_first=True, backup=True, epochs=EPOCHS):
        """Its history, the model's weights and the masks."""
        keras.utils.set_random_seed(0)
        model = unnamed_model()
        prune = kl.Prune(**self.settings, backup=str(self.masks) if backup else None)
        restore = keras.callbacks.BackupAndRestore(
            self.weights, double_checkpoint=self.double_checkpoint
        )
        ours = [prune, *others, restore] if prune_first else [restore, *others, prune]
        history = fit(model, self.data, *ours, epochs=epochs)
        masks = list(prune.lottery.masks.values())
        return history, [*weights(model), *weights(model.optimizer), *masks]

    def kill(self, *others, **arguments):
        with pytest.raises(Killed):
            self.run(*others, **arguments)


def unnamed_model():
    """Keras numbers its layers anew each time."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "relu", kernel_initializer=keras.initializers.GlorotNormal(1)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotNormal(2)),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def die(model, epoch, at):
    if epoch == at:
        raise Killed


def between_the_two(at):
    """Between the ends of `Prune` and `BackupAndRestore`, after an epoch."""
    return Do(functools.partial(die, at=at))


class DieInTraining(keras.callbacks.Callback):
    def __init__(self, at, batch=1):
        super().__init__()
        self.at, self.batch = at, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.at, self.batch):
            raise Killed


class DieAtTheEnd(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        raise Killed


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
