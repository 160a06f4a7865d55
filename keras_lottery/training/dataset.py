"""A `tf.data.Dataset` cached as arrays: read once, kept in memory, shuffled from a seed."""

import sys
from collections.abc import Mapping
from typing import Any

import keras

from keras_lottery.model import tensorflow_internals
from keras_lottery.training import data
from keras_lottery.training.memory import Column, dtype_of

# Stages that pass on all samples, in whatever order these come.
_KEEP_ALL = frozenset(
    ["Batch", "Cache", "Map", "Options", "ParallelBatch", "ParallelMap", "Prefetch", "Shuffle"]
)


def is_dataset(x: Any) -> bool:
    """Return whether `x` is a `tf.data.Dataset`; TensorFlow is not imported to find out."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(x, tensorflow.data.Dataset)


def cache(
    dataset: Any, class_weight: Mapping[int, float] | None, seed: int, memory_limit: int
) -> tuple[data.Samples | None, str | None]:
    """Read a dataset's samples into arrays in memory, or say why that cannot be done.

    Args:
        dataset: A batched `tf.data.Dataset`.
        class_weight: Weight of each class by its index, or `None`.
        seed: Seed of the order of the samples, if the dataset shuffles them itself.
        memory_limit: Bytes above which the samples are not cached.

    Returns:
        `(samples, None)`, or `(None, reason)`, where the reason is one clause.
    """
    if reason := _obstacle(dataset):
        return None, reason
    columns, lengths, shapes, size = None, [], set(), 0
    # Where TensorFlow does not know the number, it is negative.
    batches = max(1, int(dataset.cardinality()))
    for batch in dataset.as_numpy_iterator():
        if not data.are_arrays(batch):
            return None, "the elements of the tf.data set are not arrays"
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        batch = data.pack(x, y, sample_weight, class_weight)
        shapes.add(str([part.shape[1:] for part in keras.tree.flatten(batch)]))
        if len(shapes) > 1:
            return None, f"the tf.data set has samples of shapes {' and '.join(sorted(shapes))}"
        size += data.nbytes(batch)
        # All batches but the last are as large as this one.
        if max(size, (batches - 1) * data.nbytes(batch)) > memory_limit:
            return None, f"the tf.data set exceeds memory_limit={memory_limit:,} bytes"
        lengths.append(len(keras.tree.flatten(batch)[0]))
        columns = columns or keras.tree.map_structure(
            lambda part: Column((batches * len(part), *part.shape[1:]), dtype_of(part)), batch
        )
        keras.tree.map_structure(Column.append, columns, batch)
    if len(set(lengths[:-1])) > 1 or lengths[-1:] > lengths[:1] or not lengths:
        return None, f"the tf.data set has batches of {sorted(set(lengths))} samples"
    arrays = keras.tree.map_structure(Column.take, columns)
    return data.Samples(arrays, lengths[0], seed if _shuffles(dataset) else None), None


def _obstacle(dataset: Any) -> str | None:
    """Return why a dataset cannot be read once and cached, or `None`."""
    import tensorflow as tf

    # A sparse tensor would come as three arrays.
    if not all(isinstance(s, tf.TensorSpec) for s in keras.tree.flatten(dataset.element_spec)):
        return "the elements of the tf.data set are not dense tensors"
    if dataset.cardinality() == -1:
        return "the tf.data set is endless"
    stateful = {
        operation.type
        for stage in tensorflow_internals.stages(dataset)
        for operation in tensorflow_internals.operations_of(stage)
        if operation.op_def.is_stateful
    }
    if stateful:
        return f"the tf.data set runs {', '.join(sorted(stateful))} anew at each pass"
    for stage in filter(_shuffles, tensorflow_internals.stages(dataset)):
        kind = tensorflow_internals.kind_of(stage)
        if kind not in _KEEP_ALL or tensorflow_internals.drops_remainder(stage):
            return f"the tf.data set shuffles, and {kind} may then drop other samples"
    return None


def _shuffles(dataset: Any) -> bool:
    """Return whether the dataset gives its samples in another order each time it is read."""
    return any(map(tensorflow_internals.reshuffles, tensorflow_internals.stages(dataset)))
