"""What a model is trained on: arrays held in memory, and the order in which a seed visits them."""

import math
from dataclasses import dataclass

import keras
import numpy as np


@dataclass(frozen=True)
class Samples:
    """Training data as arrays of one length, in the structure that `train_step` receives.

    Args:
        arrays: `x`, `(x, y)` or `(x, y, sample_weight)`; each a NumPy array or a (nested) tuple
            or dict of them, samples along the first axis.
        batch_size: samples in a batch; the last batch of an epoch may be smaller.
        seed: of the order of the batches; `None` keeps the samples as they lie.
    """

    arrays: object
    batch_size: int
    seed: int | None

    @property
    def count(self):
        """Number of samples."""
        return len(keras.tree.flatten(self.arrays)[0])

    @property
    def steps(self):
        """Number of batches in an epoch, the partial one included."""
        return math.ceil(self.count / self.batch_size)

    @property
    def nbytes(self):
        """Bytes of all arrays together."""
        return sum(array.nbytes for array in keras.tree.flatten(self.arrays))

    def order(self, epoch):
        """Indices of all samples in the order that `epoch` visits them, int32, shape `(count,)`.

        A function of the seed and the epoch alone: a training resumed at a later epoch sees the
        batches that the uninterrupted one saw.

        >>> samples = Samples(np.zeros((4, 1)), batch_size=2, seed=0)
        >>> samples.order(3).tolist() == samples.order(3).tolist()
        True
        """
        if self.seed is None:
            return np.arange(self.count, dtype="int32")
        rng = np.random.default_rng([self.seed, epoch])
        return rng.permutation(self.count).astype("int32")


def pack(x, y, sample_weight, class_weight):
    """Arrays in the structure and dtypes in which Keras hands them to `train_step`.

    Args:
        x: array, or a (nested) list, tuple or dict of arrays.
        y: the same for the targets, or `None`.
        sample_weight: array of one weight per sample, the structure of `y` with one array for
            each output, or `None`.
        class_weight: dict from class index to weight, or `None`.

    Returns:
        `x`, `(x, y)` or `(x, y, sample_weight)`, lists turned into tuples, floating point arrays
        of another precision cast to `keras.config.floatx()`.

    Raises:
        ValueError: if both weights are given, or the arrays differ in length.
    """
    if class_weight is not None:
        if sample_weight is not None:
            raise ValueError(
                "`class_weight` and `sample_weight` cannot both be given; multiply the class "
                "weights into `sample_weight`."
            )
        sample_weight = class_weights_of(y, class_weight)
    if sample_weight is not None and keras.tree.is_nested(y) and hasattr(sample_weight, "shape"):
        weight = sample_weight
        sample_weight = keras.tree.map_structure(lambda _: weight, y)
    packed = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    arrays = keras.tree.lists_to_tuples(keras.tree.map_structure(_standard, packed))
    lengths = {len(array) for array in keras.tree.flatten(arrays)}
    if len(lengths) != 1:
        raise ValueError(
            f"All arrays must have the same number of samples; received {sorted(lengths)}."
        )
    return arrays


def class_weights_of(y, class_weight):
    """Weight of each sample by its class, shape `(samples,)`; classes not named weigh 1.

    Args:
        y: integer classes, shape `(samples,)` or `(samples, 1)`, or one-hot rows.
        class_weight: dict from class index to weight.

    >>> class_weights_of(np.array([0, 2, 1]), {1: 3.0}).tolist()
    [1.0, 1.0, 3.0]
    """
    if keras.tree.is_nested(y):
        raise ValueError("`class_weight` needs a model of one output; use `sample_weight`.")
    y = keras.ops.convert_to_numpy(y)
    one_hot = y.ndim > 1 and y.shape[-1] != 1
    classes = y.argmax(axis=-1) if one_hot else y.reshape(len(y)).round().astype(int)
    found, index = np.unique(classes, return_inverse=True)
    weights = [class_weight.get(int(label), 1.0) for label in found]
    return np.asarray(weights, keras.config.floatx())[index]


def are_arrays(structure):
    """Whether every leaf of `structure` is a NumPy array or a dense tensor of the backend."""
    return all(
        isinstance(leaf, np.ndarray) or keras.ops.is_tensor(leaf)
        for leaf in keras.tree.flatten(structure)
        if leaf is not None
    )


def _standard(leaf):
    array = keras.ops.convert_to_numpy(leaf)
    floating = np.issubdtype(array.dtype, np.floating)
    return array.astype(keras.config.floatx()) if floating and _is_other(array) else array


def _is_other(array):
    return array.dtype.name != keras.config.floatx()
