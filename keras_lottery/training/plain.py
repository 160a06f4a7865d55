"""Ordinary `model.fit` over the very batches that the fused path would see."""

import keras


class Batches(keras.utils.PyDataset):
    """The batches of one epoch, read from arrays in memory.

    Args:
        samples: `data.Samples`.
    """

    def __init__(self, samples):
        super().__init__()
        self.samples = samples
        self.start_epoch(0)

    def start_epoch(self, epoch):
        """Sets the order of the batches to that of `epoch`."""
        self.order = self.samples.order(epoch)

    def __len__(self):
        return self.samples.steps

    def __getitem__(self, step):
        size = self.samples.batch_size
        indices = self.order[step * size : (step + 1) * size]
        batch = keras.tree.map_structure(lambda array: array[indices], self.samples.arrays)
        return batch if isinstance(batch, tuple) else (batch,)


def fit_batches(model, samples, *, callbacks, **arguments):
    batches = Batches(samples)
    # Only a callback knows which epoch `fit` begins: BackupAndRestore may have chosen it.
    order = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch)
    )
    return model.fit(batches, shuffle=False, callbacks=[order, *callbacks], **arguments)
