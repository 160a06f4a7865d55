"""`Samples`: training data as arrays in memory, and the order in which a seed visits them."""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_lottery.training import memory

# Keras' own, where none is given.
BATCH_SIZE = 32


@dataclass(frozen=True)
class Samples:
    """Training data as arrays of one length, in the structure that `train_step` receives.

    Args:
        arrays: `x`, `(x, y)` or `(x, y, sample_weight)`: NumPy arrays or tensors, samples along
            the first axis, each alone or in (nested) tuples or dicts.
        batch_size: Samples in a batch; the last batch of an epoch may be smaller.
        seed: Seed of the order of the samples; `None` keeps the order of the arrays.
    """

    arrays: object
    batch_size: int
    seed: int | None = None

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(keras.tree.flatten(self.arrays)[0])

    @property
    def steps(self) -> int:
        """Number of batches in an epoch, the smaller last one included.

        It is at most `keras.config.max_steps_per_epoch()`, if that is set.
        """
        batches = math.ceil(self.count / self.batch_size)
        return min(batches, keras.config.max_steps_per_epoch() or batches)

    def as_tensors(self) -> "Samples":
        """The same samples as tensors of the dtypes that models are trained with."""
        return replace(self, arrays=keras.tree.map_structure(memory.tensor, self.arrays))

    def order(self, epoch: int) -> np.ndarray:
        """Indices of all samples as `epoch` visits them, int32, shape `(count,)`.

        They depend on the seed and the epoch alone: a training resumed at a later epoch sees the
        batches that the uninterrupted one saw.

        >>> samples = Samples(np.zeros(5), batch_size=2, seed=0)
        >>> sorted(samples.order(3).tolist())
        [0, 1, 2, 3, 4]
        >>> samples.order(3).tolist() == samples.order(3).tolist()
        True
        """
        if self.seed is None:
            return np.arange(self.count, dtype="int32")
        return np.random.default_rng([self.seed, epoch]).permutation(self.count).astype("int32")

    def stretches(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Split steps `first` to `last` (exclusive) into stretches of batches of one size.

        Yields:
            `(batch size, position of its first sample in the order, number of batches)`.

        >>> list(Samples(np.zeros(25), batch_size=10).stretches(1, 3))
        [(10, 10, 1), (5, 20, 1)]
        """
        whole, rest = divmod(self.count, self.batch_size)
        if first < min(last, whole):
            yield self.batch_size, first * self.batch_size, min(last, whole) - first
        if last > whole:
            yield rest, whole * self.batch_size, 1


def pack(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
) -> Any:
    """Pack arrays into the structure in which Keras hands them to `train_step`.

    Args:
        x: Array, or a (nested) list, tuple or dict of arrays.
        y: The same for the targets, or `None`.
        sample_weight: One weight per sample, or the structure of `y` with an array for each
            output, or `None`.
        class_weight: Weight of each class by its index, or `None`.

    Returns:
        `x`, `(x, y)` or `(x, y, sample_weight)` with tuples for lists.

    Raises:
        ValueError: If both weights are given, or the arrays differ in length or are empty.

    >>> [array.shape for array in pack(np.zeros((3, 2)), np.arange(3), class_weight={0: 2.0})]
    [(3, 2), (3,), (3,)]
    """
    if class_weight is not None:
        if sample_weight is not None:
            raise ValueError(
                "`class_weight` and `sample_weight` cannot both be given: multiply the class "
                "weights into `sample_weight`."
            )
        sample_weight = class_weights_of(y, class_weight)
    elif keras.tree.is_nested(y) and hasattr(sample_weight, "shape"):
        weight = sample_weight
        sample_weight = keras.tree.map_structure(lambda _: weight, y)
    packed = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    arrays = keras.tree.lists_to_tuples(packed)
    if keras.tree.is_nested(sample_weight):
        _refuse_other_outputs(*arrays[1:])
    lengths = sorted({len(array) for array in keras.tree.flatten(arrays)})
    if len(lengths) != 1:
        raise ValueError(
            f"`x`, `y` and `sample_weight` must have equally many samples: received {lengths}."
        )
    if lengths == [0]:
        raise ValueError("`x` must have at least one sample: received none.")
    return arrays


def _refuse_other_outputs(y: Any, sample_weight: Any) -> None:
    """Raise a `ValueError` if weights by output are not those of the outputs of `y`."""
    try:
        keras.tree.assert_same_structure(y, sample_weight)
    except (TypeError, ValueError) as error:
        outputs, weights = (
            keras.tree.map_structure(lambda array: "array", structure)
            for structure in (y, sample_weight)
        )
        raise ValueError(
            "`sample_weight` must be one array, or have one for each output in the structure of "
            f"`y`, which is {outputs}: received {weights}."
        ) from error


def split(arrays: Any, fraction: float) -> tuple[Any, Any]:
    """Split off the last samples, which Keras validates on for `validation_split`.

    Args:
        arrays: A structure of arrays of one length, and of `None`.
        fraction: The fraction of the samples to split off, between 0 and 1.

    Returns:
        `(the others, the last ones)`, each in the structure of `arrays`.

    Raises:
        ValueError: If `arrays` has something else than arrays, or either part is empty.

    >>> first, last = split((np.arange(4), None), 0.25)
    >>> first, last
    ((array([0, 1, 2]), None), (array([3]), None))
    """
    if not have_shapes(arrays):
        raise ValueError("`validation_split` needs arrays: use `validation_data` instead.")
    count = next(len(leaf) for leaf in keras.tree.flatten(arrays) if leaf is not None)
    end = math.floor(count * (1 - fraction))
    if not 0 < end < count:
        raise ValueError(
            f"`validation_split` must leave samples to train and to validate on: received "
            f"{fraction} for {count} samples."
        )

    def part(begin: int, end: int) -> Any:
        return keras.tree.map_structure(lambda a: None if a is None else a[begin:end], arrays)

    return part(0, end), part(end, count)


def check_sizes(batch_size: int | None, chunk: int | None) -> None:
    """Raise a `ValueError` that names the argument if a size is no whole number of 1 or more."""
    for name, size, unit in (("batch_size", batch_size, "sample"), ("chunk", chunk, "step")):
        if size is None:
            continue
        if not isinstance(size, int | np.integer):
            raise ValueError(f"`{name}` must be a whole number of {unit}s: received {size!r}.")
        if size < 1:
            raise ValueError(f"`{name}` must be at least 1 {unit}: received {size}.")


def class_weights_of(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """Return each sample's weight by its class, shape `(samples,)`; other classes weigh 1.

    Args:
        y: Integer classes of shape `(samples,)` or `(samples, 1)`, or one-hot rows.
        class_weight: Weight of each class by its index.

    >>> class_weights_of(np.array([0, 2, 1]), {1: 3.0}).tolist()
    [1.0, 1.0, 3.0]
    """
    if keras.tree.is_nested(y) or y is None:
        raise ValueError("`class_weight` needs one array `y`: use `sample_weight` instead.")
    y = keras.ops.convert_to_numpy(y)
    one_hot = y.ndim > 1 and y.shape[-1] != 1
    classes = y.argmax(axis=-1) if one_hot else y.reshape(len(y)).round()
    labels, position = np.unique(classes, return_inverse=True)
    weights = np.array([class_weight.get(int(label), 1.0) for label in labels])
    return weights.astype(keras.config.floatx())[position]


def nbytes(structure: Any) -> int:
    """Return the bytes that all arrays of a structure take as tensors.

    >>> nbytes((np.zeros((5, 2)), np.zeros(5, "uint8")))
    45
    """
    return sum(
        math.prod(array.shape) * np.dtype(memory.dtype_of(array)).itemsize
        for array in keras.tree.flatten(structure)
    )


def are_arrays(structure: Any) -> bool:
    """Return whether `structure` is `None`, or dense arrays of numbers and nothing else.

    >>> are_arrays([np.zeros(3)]), are_arrays([np.zeros(3), None]), are_arrays(np.array(["a"]))
    (True, False, False)
    """
    return structure is None or all(
        leaf.dtype.kind in "biufc"
        if isinstance(leaf, np.ndarray)
        # Ragged and sparse tensors cannot become arrays as they are, nor can texts.
        else keras.ops.is_tensor(leaf) and hasattr(leaf, "__array__") and leaf.dtype != "string"
        for leaf in keras.tree.flatten(structure)
    )


def have_shapes(structure: Any) -> bool:
    """Return whether all leaves of `structure` are arrays of any kind, not a source of batches.

    >>> have_shapes([np.array(["a"]), None]), have_shapes(iter([np.zeros(3)]))
    (True, False)
    """
    return all(leaf is None or hasattr(leaf, "shape") for leaf in keras.tree.flatten(structure))


def from_pandas(leaf: Any) -> Any:
    """Convert a pandas object into the array that Keras makes of it, a series into one column.

    Anything else is returned as it is; pandas is not imported to find out.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(leaf, pandas.DataFrame | pandas.Series):
        return leaf
    array = leaf.to_numpy()
    return array[:, None] if array.ndim == 1 else array
