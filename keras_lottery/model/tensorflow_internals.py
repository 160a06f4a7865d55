"""Private names of `tf.data` that this package uses, in one room.

When TensorFlow moves one, `tests/model/test_tensorflow_internals.py` fails first and says which
one. Nothing here imports TensorFlow: whoever made the data set has imported it.
"""

from collections.abc import Iterator
from typing import Any


def stages(dataset: Any) -> Iterator[Any]:
    """The `tf.data.Dataset` and every one that it reads from."""
    yield dataset
    for source in dataset._inputs():
        yield from stages(source)


def kind_of(stage: Any) -> str:
    """The kind of a stage of a data set, such as `"Shuffle"`."""
    return type(stage).__name__.strip("_").removesuffix("Dataset")


def operations_of(stage: Any) -> Iterator[Any]:
    """The operations of the functions that a stage runs on its elements."""
    for function in stage._functions():
        yield from function.function.graph.get_operations()


def drops_remainder(stage: Any) -> bool:
    """Return whether a stage that makes batches drops a last batch that is not full."""
    return bool(getattr(stage, "_drop_remainder", False))


def reshuffles(stage: Any) -> bool:
    """Return whether a stage gives another order each time it is read."""
    return (
        "Shuffle" in kind_of(stage)
        and getattr(stage, "_reshuffle_each_iteration", None) is not False
    )
