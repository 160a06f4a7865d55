"""`model.fit` for the tests of `Prune`."""

import keras


def weights(model):
    return [keras.ops.convert_to_numpy(v) for v in model.variables]


def fit(model, data, *callbacks, epochs=4, **arguments):
    """Seven steps an epoch, in a fixed order."""
    return model.fit(
        *data,
        batch_size=12,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    ).history


class Do(keras.callbacks.Callback):
    """Calls a function with the model and the epoch, at the end of every epoch."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_epoch_end(self, epoch, logs=None):
        self.action(self.model, epoch)
