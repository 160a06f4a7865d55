"""Trains networks as their presets say, in whole epochs and without evaluations in between."""

import math

import keras

from keras_lottery.training import fit


def steps(network, dataset):
    """Return the number of iterations in an epoch.

    Args:
        network: A module of `experiments.networks`.
        dataset: A `Dataset`.
    """
    return math.ceil(len(dataset.x_train) / network.PRESET.batch_size)


def make_model(network, dataset, epochs, seed=0):
    """Make the network for a data set, built and compiled.

    Args:
        network: A module of `experiments.networks`.
        dataset: A `Dataset`.
        epochs: The length of the optimizer's schedule.
        seed: Seed of the initial weights.

    Returns:
        A `keras.Model`.
    """
    model = network.build(dataset.shape, dataset.classes, seed=seed)
    model.compile(
        network.PRESET.optimizer.make(epochs * steps(network, dataset)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def train(model, network, dataset, epochs, callbacks=(), seed=0):
    """Trains a model in place.

    Args:
        model: A model that `make_model` made.
        network: A module of `experiments.networks`.
        dataset: A `Dataset`.
        epochs: The number of epochs.
        callbacks: Keras callbacks.
        seed: Seed of the order of the examples.
    """
    fit(
        model,
        dataset.x_train,
        dataset.y_train,
        batch_size=network.PRESET.batch_size,
        epochs=epochs,
        callbacks=list(callbacks),
        seed=seed,
        verbose=0,
    )
