"""The data of one training: as it was given, and as samples that steps can be fused over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from keras_lottery.training import data, dataset


@dataclass(frozen=True)
class Source:
    """The data of one training.

    Args:
        x: Inputs as they were given; pandas objects became arrays.
        y: Targets, or `None`.
        sample_weight: Weights of the samples, or `None`.
        class_weight: Weight of each class by its index, or `None`.
        batch_size: Samples in a batch, or `None` where it was not given.
        samples: All the data as arrays in memory, or `None` where that cannot be.
        obstacle: The reason why steps cannot be fused over the data, one clause, or `None`.
    """

    x: Any
    y: Any
    sample_weight: Any
    class_weight: Mapping[int, float] | None
    batch_size: int | None
    samples: data.Samples | None
    obstacle: str | None


def read(
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    *,
    batch_size: int | None,
    shuffle: bool,
    seed: int,
    memory_limit: int,
    obstacle: str | None,
    say: Callable[[str], None],
) -> Source:
    """Read the data of a training into memory, where its steps may be fused.

    Args:
        x: Inputs, as for `fit`; so are the other arguments.
        y: Targets.
        sample_weight: Weights of the samples.
        class_weight: Weight of each class.
        batch_size: Samples in a batch.
        shuffle: Whether arrays are shuffled.
        seed: Seed of their order.
        memory_limit: Bytes above which steps are not fused.
        obstacle: The reason why steps are not fused whatever the data is, or `None`. With a reason
            a dataset is not read.
        say: A function that prints a line for the user.

    Raises:
        ValueError: If the arrays do not fit together, or `y` is given beside a dataset.
    """
    samples = None
    if not dataset.is_dataset(x):
        samples, reason = _pack(
            x, y, sample_weight, class_weight, batch_size, seed if shuffle else None, memory_limit
        )
        obstacle = obstacle or reason
    elif y is not None or sample_weight is not None:
        raise ValueError("`y` and `sample_weight` must be part of the tf.data.Dataset `x`.")
    elif obstacle is None:
        samples, obstacle = dataset.cache(x, class_weight, seed, memory_limit)
        if samples:
            say(f"The tf.data set is cached as arrays: {data.nbytes(samples.arrays):,} bytes.")
    return Source(x, y, sample_weight, class_weight, batch_size, samples, obstacle)


def _pack(
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    batch_size: int | None,
    seed: int | None,
    memory_limit: int,
) -> tuple[data.Samples | None, str | None]:
    """The samples, or `None` if they are not numbers, and why they cannot be fused, or `None`."""
    for name, structure in {"x": x, "y": y, "sample_weight": sample_weight}.items():
        if not data.are_arrays(structure):
            return None, f"`{name}` ({type(structure).__name__}) is not arrays of numbers"
    arrays = data.pack(x, y, sample_weight, class_weight)
    samples = data.Samples(arrays, batch_size or data.BATCH_SIZE, seed)
    large = data.nbytes(arrays) > memory_limit
    return samples, f"the data exceeds memory_limit={memory_limit:,} bytes" if large else None


def split(
    x: Any, y: Any, sample_weight: Any, validation_split: float, validation_data: Any
) -> tuple[tuple[Any, Any, Any], Any]:
    """Split the data into what to train on and what to validate on, pandas objects as arrays.

    Args:
        x: Inputs, as for `fit`; so are the other arguments.
        y: Targets.
        sample_weight: Weights of the samples.
        validation_split: Fraction of the samples to validate on, if there is no
            `validation_data`.
        validation_data: The data to validate on, or `None`.

    Returns:
        `((x, y, sample_weight), validation_data)`.

    Raises:
        ValueError: If the data to split is not arrays, or has too few samples.
    """
    arrays = keras.tree.map_structure(data.from_pandas, (x, y, sample_weight))
    if validation_split and validation_data is None:
        return data.split(arrays, validation_split)
    return arrays, validation_data
