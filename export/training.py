"""Networks trained as their presets say, whole epochs and without an evaluation in between."""

import math

import keras

from keras_lottery.training import fit


def steps(network, dataset):
    """How many iterations an epoch has.

    Args:
        network: A module of `experiments.networks`.
        dataset: A `Dataset`.
    """
    return math.ceil(len(dataset.x_train) / network.PRESET.batch_size)


def make_model(network, dataset, epochs, seed=0):
    """The network for a data set, built and compiled.

    Args:
        network: A module of `experiments.networks`.
        dataset: A `Dataset`.
        epochs: How long the optimizer's schedule is to last.
        seed: Of the initial weights.

    Returns:
        A `keras.Model`.
    """
    model = network.build(dataset.shape, dataset.classes, seed=seed)
    model.compile(
        network.PRESET.optimizer(epochs * steps(network, dataset)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def train(model, network, dataset, epochs, callbacks=(), seed=0):
    """Trains a model in place.

    Args:
        model: What `make_model` made.
        network: A module of `experiments.networks`.
        dataset: A `Dataset`.
        epochs: How long.
        callbacks: Keras callbacks.
        seed: Of the order of the examples.
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
