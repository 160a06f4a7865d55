"""`gathered(samples) -> arrays`: the samples of an export as arrays, even if given in batches."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

# More examples than any proof needs, and more bytes: a source that gives more counts as endless.
_MOST_EXAMPLES = 1_000_000
_MOST_BYTES = 4 * 2**30


def gathered(samples: Any) -> Any:
    """Samples as arrays with all examples along their first axis.

    Args:
        samples: Arrays in any structure, which are returned as they are. Or a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, or a generator of batches as for `model.fit`; only `x` counts
            of a tuple `(x, y)` or `(x, y, weights)`.

    Returns:
        Arrays in the structure of one batch, or `samples`.

    Raises:
        ValueError: The batches have no end, there is none, or they differ in structure or shape.
    """
    batches = _batches(samples)
    if batches is None:
        return samples
    parts, count, size = [], 0, 0
    for batch in batches:
        inputs = batch[0] if isinstance(batch, tuple) and batch else batch
        arrays = keras.tree.map_structure(_array, inputs)
        parts.append(arrays)
        count += len(keras.tree.flatten(arrays)[0])
        size += sum(array.nbytes for array in keras.tree.flatten(arrays))
        if count > _MOST_EXAMPLES or size > _MOST_BYTES:
            raise _endless()
    if not parts:
        raise ValueError("`samples` has no batch; it needs one example or more.")
    try:
        return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`samples` has batches that do not go together: {error} Each must have the structure "
            "and, but for the number of examples, the shapes of the first."
        ) from error


def _batches(samples: Any) -> Iterator[Any] | None:
    """The batches one by one; `None` if `samples` is no source of batches."""
    if isinstance(samples, keras.utils.PyDataset):
        if samples.num_batches is None:
            raise _endless()
        return (samples[number] for number in range(samples.num_batches))
    if hasattr(samples, "as_numpy_iterator") and hasattr(samples, "cardinality"):
        if int(samples.cardinality()) == -1:
            raise _endless()
        return iter(samples.as_numpy_iterator())
    collections = (list, tuple, Mapping, str, bytes)
    if isinstance(samples, Iterable) and not isinstance(samples, collections):
        return None if hasattr(samples, "shape") else iter(samples)
    return None


def _array(part: Any) -> np.ndarray:
    if not np.ndim(part):
        raise ValueError(
            "`samples` must be an array with the examples along its first axis, a list or dict of "
            f"such arrays, or give batches of them; received a {type(part).__name__} for a batch."
        )
    return np.asarray(part)


def _endless() -> ValueError:
    return ValueError(
        "`samples` has no end, or more than a memory holds: give a part of it, for example 100 "
        "batches with dataset.take(100) or itertools.islice(generator, 100)."
    )
