"""The memory of a `Lottery`: the model at the rewind point, and the state of the masks."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.model import optimizer_state, trainers, variables
from keras_lottery.model.arrays import array


@dataclasses.dataclass(frozen=True)
class OptimizerState:
    """The variables of one optimizer at one training step.

    Args:
        optimizer: The optimizer.
        values: A dict from name (see `optimizer_state.named`) to value. A variable that is not in
            it, since the optimizer was not built yet, begins at its initial value.
        averages: The moving averages that the optimizer keeps of weights, by the variable's name.
    """

    optimizer: keras.optimizers.Optimizer
    values: dict[str, np.ndarray]
    averages: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Every variable of a model and its optimizers at one training step.

    Args:
        step: How many training steps came before.
        values: A dict from variable name (see `variables.named`) to value.
        optimizers: The state of each optimizer.
    """

    step: int
    values: dict[str, np.ndarray]
    optimizers: list[OptimizerState]

    @classmethod
    def take(
        cls,
        named: Mapping[str, keras.Variable],
        optimizers: Sequence[keras.optimizers.Optimizer],
        step: int,
        mask_ids: Collection[int],
    ) -> "Snapshot":
        """Copy the values of a model's and its optimizers' variables.

        Args:
            named: The variables of a model by name.
            optimizers: The optimizers that train them, built or not.
            step: How many training steps came before.
            mask_ids: The `id` of the masks' variables in the optimizers, which the snapshot leaves
                out.
        """
        names = {id(variable): name for name, variable in named.items()}
        return cls(
            step,
            _values(named),
            [
                OptimizerState(
                    optimizer,
                    _values(optimizer_state.named(optimizer, names, mask_ids)),
                    _values(optimizer_state.averages(optimizer, names)),
                )
                for optimizer in optimizers
            ],
        )

    def moved_to(self, model: keras.Model) -> "Snapshot":
        """The same values for another model of the same architecture, optimizers included.

        Args:
            model: A built `keras.Model`. An optimizer of another class than that in the same place
                here has no state in the result.

        Returns:
            A `Snapshot` by the names of that model.

        Raises:
            ValueError: If the architectures differ, naming the first difference.
        """
        names = variables.names_in({name: v.shape for name, v in self.values.items()}, model)
        own = trainers.optimizers_of(model)
        optimizers = [
            dataclasses.replace(state, optimizer=optimizer)
            for state, optimizer in zip(self.optimizers, own, strict=False)
            if type(state.optimizer) is type(optimizer)
        ]
        return dataclasses.replace(self, optimizers=optimizers).renamed(names)

    def renamed(self, names: Mapping[str, str]) -> "Snapshot":
        """The same state by other names.

        Args:
            names: A dict from each variable's name here to its other name.
        """
        optimizers = [
            OptimizerState(
                state.optimizer,
                _renamed_slots(state.values, names),
                {names.get(name, name): value for name, value in state.averages.items()},
            )
            for state in self.optimizers
        ]
        values = {names[name]: value for name, value in self.values.items()}
        return Snapshot(self.step, values, optimizers)


@dataclasses.dataclass
class State:
    """Everything that a `Lottery` knows beside the model.

    Args:
        masks: Boolean arrays by kernel name, True = alive.
        held_values: The values that pruned weights are held at, by kernel name; empty if all are
            zero.
        previous: The kernels' values when they were last pruned, by name; empty before the first
            pruning, when the values at the rewind point stand for them.
        point: The rewind point.
        events: The number of prunings and rewirings so far. It names the random streams, so that
            no two events draw alike, and a repeated event draws the same.
        search: How the masks were asked for, for the record: JSON-able values by name.
    """

    masks: dict[str, np.ndarray]
    held_values: dict[str, np.ndarray]
    previous: dict[str, np.ndarray]
    point: Snapshot
    events: int = 0
    search: dict[str, Any] = dataclasses.field(default_factory=dict)


def _values(named: Mapping[str, keras.Variable]) -> dict[str, np.ndarray]:
    return {name: array(variable) for name, variable in named.items()}


def _renamed_slots(
    values: Mapping[str, np.ndarray], names: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """The state of an optimizer by the names that the variables have in another model."""

    def renamed(name: str) -> str:
        part, attribute, *owner = name.split("/", 2)
        return "/".join([part, attribute, *(names.get(variable, variable) for variable in owner)])

    return {renamed(name): value for name, value in values.items()}
