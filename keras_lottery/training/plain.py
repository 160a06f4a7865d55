"""The batches of the fused path, in the same order, for ordinary `model.fit`."""

import keras
import numpy as np

from keras_lottery.training import memory
from keras_lottery.training.data import Samples


class Batches(keras.utils.PyDataset):
    """The batches of an epoch, read from arrays in memory.

    Give `epoch_setter()` to `fit` as a callback beside them: only a callback knows which epoch
    begins, since BackupAndRestore may have chosen it.

    Args:
        samples: What to train on; not an array by itself, which Keras takes from no `PyDataset`.
    """

    def __init__(self, samples: Samples):
        super().__init__()
        self.samples = samples
        self.order = samples.order(0)
        # Not all by `convert_to_numpy`: it copies arrays, and they may be too large for that.
        self.arrays = keras.tree.map_structure(
            lambda a: a if isinstance(a, np.ndarray) else keras.ops.convert_to_numpy(a),
            samples.arrays,
        )

    def __len__(self):
        return self.samples.steps

    def __getitem__(self, step):
        size = self.samples.batch_size
        indices = self.order[step * size : (step + 1) * size]
        return keras.tree.map_structure(
            lambda array: array[indices].astype(memory.dtype_of(array), copy=False),
            self.arrays,
        )

    def epoch_setter(self) -> keras.callbacks.Callback:
        """A callback that sets the order of the batches to that of the epoch that begins."""

        def on_epoch_begin(epoch, logs):
            self.order = self.samples.order(epoch)

        return keras.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin)
