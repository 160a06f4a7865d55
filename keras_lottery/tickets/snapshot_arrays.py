"""A `Snapshot` as named arrays, which a file can hold, and back."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_lottery.masks.snapshot import OptimizerState, Snapshot
from keras_lottery.model import trainers, variables


def arrays_of(snapshot: Snapshot) -> dict[str, np.ndarray]:
    """Return the arrays of a snapshot: the model's variables, the optimizers', their averages.

    Args:
        snapshot: A `Snapshot`. Its step is not among the arrays.
    """
    groups = {
        "value": snapshot.values,
        **{
            f"{group}{number}": values
            for number, optimizer in enumerate(snapshot.optimizers)
            for group, values in (
                ("optimizer", optimizer.values),
                ("averages", optimizer.averages),
            )
        },
    }
    return {
        f"{group}:{name}": value for group, named in groups.items() for name, value in named.items()
    }


def snapshot_from(
    arrays: Mapping[str, np.ndarray], step: int, model: keras.Model
) -> tuple[Snapshot, dict[str, str]]:
    """Make a snapshot of what `arrays_of` returned, for a model of the same architecture.

    Args:
        arrays: The arrays; others among them are left alone.
        step: How many training steps came before.
        model: A built `keras.Model`, where Keras may have numbered the layers anew.

    Returns:
        The `Snapshot` by the names of that model, and a dict from each variable's name in `arrays`
        to its name there.

    Raises:
        ValueError: If the architectures differ.
    """
    values = group(arrays, "value")
    names = variables.names_in({name: value.shape for name, value in values.items()}, model)
    optimizers = [
        OptimizerState(
            optimizer, group(arrays, f"optimizer{number}"), group(arrays, f"averages{number}")
        )
        for number, optimizer in enumerate(trainers.optimizers_of(model))
    ]
    return Snapshot(step, values, optimizers).renamed(names), names


def group(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays of one group, such as `"value"`, by the names that follow it."""
    return {
        name.removeprefix(f"{prefix}:"): value
        for name, value in arrays.items()
        if name.startswith(f"{prefix}:")
    }
