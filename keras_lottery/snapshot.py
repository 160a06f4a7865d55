"""What a `Lottery` remembers: the model at the rewind point, and the state of the masks."""

import dataclasses

import keras
import numpy as np

from keras_lottery import variables


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Every variable of a model and its optimizer at one training step.

    Args:
        step: How many training steps came before.
        values: A dict from variable name (see `variables.named`) to value.
        optimizer: The model's optimizer at the time, or `None`.
        optimizer_values: The values of its variables.
    """

    step: int
    values: dict[str, np.ndarray]
    optimizer: keras.optimizers.Optimizer | None
    optimizer_values: list[np.ndarray]

    @classmethod
    def take(cls, model: keras.Model, step: int, ours: list[keras.Variable]) -> "Snapshot":
        """Copy the values of a model's and its optimizer's variables.

        Args:
            model: A built `keras.Model`. Its optimizer is built if it is not yet.
            step: How many training steps came before.
            ours: Variables in the optimizer that are not to be part of the snapshot.
        """
        optimizer = variables.optimizer_of(model)
        if optimizer is not None and not optimizer.built:
            with variables.scope(model):
                optimizer.build(model.trainable_variables)
        return cls(
            step,
            {name: array(variable) for name, variable in variables.named(model).items()},
            optimizer,
            [array(variable) for variable in _without(optimizer, ours)],
        )

    def moved_to(self, model: keras.Model) -> "Snapshot":
        """The same values for another model of the same architecture, optimizer included.

        Args:
            model: A built `keras.Model`, compiled with an optimizer of the same kind.

        Returns:
            A `Snapshot` by the names of that model.

        Raises:
            ValueError: If the architectures differ, naming the first difference.
        """
        names = variables.names_in({name: v.shape for name, v in self.values.items()}, model)
        values = {names[name]: value for name, value in self.values.items()}
        return dataclasses.replace(self, values=values, optimizer=variables.optimizer_of(model))

    def restore_optimizer(self, model: keras.Model, ours: list[keras.Variable]) -> None:
        """Put a model's optimizer back: iteration count, learning rate and slots.

        If the model was compiled anew, its other optimizer goes back to its own start; but a
        learning rate that was assigned to it since stays, as what it was before is not known.

        Args:
            model: The `keras.Model` that the snapshot is of.
            ours: Variables in the optimizer that are not part of the snapshot.

        Raises:
            ValueError: If it has another optimizer and the snapshot is not of the start of
                training.
        """
        optimizer = variables.optimizer_of(model)
        if optimizer is None:
            return
        values = self.optimizer_values
        if optimizer is not self.optimizer:
            if self.step:
                raise ValueError(
                    "The model was compiled anew after its rewind point was saved, at step "
                    f"{self.step}: the state its optimizer had then is not known."
                )
            with variables.scope(model):
                fresh = type(optimizer).from_config(optimizer.get_config())
                fresh.build(model.trainable_variables)
            values = [array(variable) for variable in fresh.variables]
        for variable, value in zip(_without(optimizer, ours), values, strict=True):
            variable.assign(value)


@dataclasses.dataclass
class State:
    """All that a `Lottery` knows beside the model.

    Args:
        masks: Boolean arrays by kernel name, True = alive.
        held: The values that pruned weights are held at, by kernel name; empty where they are zero.
        previous: The kernels' values when they were last pruned, by name; empty before that, when
            those at the rewind point stand for them.
        point: The rewind point.
        draws: How many random draws were made, so that no two are alike.
    """

    masks: dict[str, np.ndarray]
    held: dict[str, np.ndarray]
    previous: dict[str, np.ndarray]
    point: Snapshot
    draws: int


def array(variable: keras.Variable) -> np.ndarray:
    """A copy of a variable's value."""
    return np.array(keras.ops.convert_to_numpy(variable))


def _without(optimizer, ours: list[keras.Variable]) -> list[keras.Variable]:
    if optimizer is None:
        return []
    hidden = {id(variable) for variable in ours}
    return [variable for variable in optimizer.variables if id(variable) not in hidden]
