"""Trains a round and looks at its model."""

import keras

import keras_lottery as kl


def kernels(model):
    """The kernels by name, as arrays."""
    return {
        name: keras.ops.convert_to_numpy(kernel)
        for name, kernel in kl.Lottery.on(model)._kernels.items()
    }


def fit(r, data, **arguments):
    return r.model.fit(*data, batch_size=12, shuffle=False, verbose=0, **arguments).history
