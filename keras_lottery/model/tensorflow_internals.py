"""Private names of `tf.data` that this package uses, behind functions of ours.

`tests/model/test_tensorflow_internals.py` fails first, and says which one, when TensorFlow moves
it. Nothing here imports TensorFlow: the data set that is given has.
"""

from collections.abc import Iterator
from typing import Any


def stages(dataset: Any) -> Iterator[Any]:
    """The `tf.data.Dataset` and every one that it reads from."""
    yield dataset
    for source in dataset._inputs():
        yield from stages(source)


def kind_of(stage: Any) -> str:
    """What a stage of a data set does, such as `"Shuffle"`."""
    return type(stage).__name__.strip("_").removesuffix("Dataset")


def operations_of(stage: Any) -> Iterator[Any]:
    """The operations of the functions that a stage runs on its elements."""
    for function in stage._functions():
        yield from function.function.graph.get_operations()


def drops_remainder(stage: Any) -> bool:
    """Whether a stage of batches leaves out a last one that is not full."""
    return bool(getattr(stage, "_drop_remainder", False))


def reshuffles(stage: Any) -> bool:
    """Whether a stage gives another order each time it is read."""
    return (
        "Shuffle" in kind_of(stage)
        and getattr(stage, "_reshuffle_each_iteration", None) is not False
    )
