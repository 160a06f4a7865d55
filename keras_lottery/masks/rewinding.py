"""`Training` saves all that a training changes beside the masks, and puts it back."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_lottery.masks.attachment import Attachment
from keras_lottery.masks.snapshot import OptimizerState, Snapshot
from keras_lottery.masks.watch import Watch
from keras_lottery.model import adapters, assignment, optimizer_state, trainers, variables
from keras_lottery.model.arrays import array


class Training:
    """The variables of a model and of the optimizers that train it, by name.

    Args:
        model: The model.
        watch: Knows the optimizers that train the model.
        attachment: Knows which of the optimizers' variables are the masks.
    """

    def __init__(self, model: keras.Model, watch: Watch, attachment: Attachment):
        self._model = model
        self._watch = watch
        self._attachment = attachment
        self._names = {id(variable): name for name, variable in variables.named(model).items()}

    def save(self, step: int) -> Snapshot:
        """Copy the values of all variables.

        Args:
            step: How many training steps came before.
        """
        mask_ids = self._attachment.variable_ids
        return Snapshot.take(self.variables(), self._watch.optimizers(), step, mask_ids)

    def variables(self) -> dict[str, keras.Variable]:
        """The model's variables by name; those that existed at the beginning keep their names."""
        named = variables.named(self._model)
        return {self._names.get(id(variable), name): variable for name, variable in named.items()}

    def refuse_what_cannot_go_back(self, point: Snapshot) -> None:
        """Raise a `ValueError` where `restore` cannot put everything back."""
        self.refuse_optimizers_that_cannot(point)
        named = self.variables()
        unknown = [name for name in named if name not in point.values]
        unknown = [name for name in unknown if not adapters.is_adapter(name)]
        if unknown:
            raise ValueError(
                f"Variables were made after the rewind point was saved and cannot be rewound: "
                f"{', '.join(unknown)}. Build every layer before the masks are made (call the "
                "model on a batch with `training=True`), or call `save_rewind_point()` again."
            )

    def refuse_optimizers_that_cannot(self, point: Snapshot) -> None:
        """Raise a `ValueError` if the state of an optimizer at the rewind point is not known.

        An optimizer that came later has a known state at step 0, its own start, and at no later
        step.
        """
        for optimizer in self._watch.optimizers():
            if _state_of(optimizer, point) is None and point.step:
                raise ValueError(
                    f"The model was compiled anew after its rewind point was saved, at step "
                    f"{point.step}: the state that {_described(optimizer)} would have had then is "
                    "not known."
                )

    def restore(self, point: Snapshot, starts: Mapping[str, np.ndarray]) -> None:
        """Put all variables back to a rewind point.

        An adapter that was added since (LoRA) gets a value with which it adds nothing.

        Args:
            point: The rewind point; see `refuse_what_cannot_go_back`.
            starts: The values that kernels start from, by name.
        """

        def value(name: str, variable: keras.Variable) -> np.ndarray:
            if name in starts:
                return starts[name]
            if name in point.values:
                return point.values[name]
            return adapters.neutral(name, variable)

        named = self.variables()
        values = {id(variable): value(name, variable) for name, variable in named.items()}
        now = variables.named(self._model)
        assignment.assign(self._model, {name: values[id(v)] for name, v in now.items()})
        self.restore_optimizers(point)
        _restore_averages(point, self._watch.optimizers(), named)

    def restore_optimizers(self, point: Snapshot) -> None:
        """Put the optimizers back: iteration count, learning rate and slots, each by its variable.

        A variable that an optimizer did not have at the rewind point goes back to its own start. So
        does an optimizer that came later, except for a learning rate that was assigned to it.

        Args:
            point: The rewind point; see `refuse_optimizers_that_cannot`.
        """
        names = {id(variable): name for name, variable in self.variables().items()}
        for optimizer in self._watch.optimizers():
            state = _state_of(optimizer, point)
            known = {} if state is None else state.values
            own = optimizer_state.named(optimizer, names, self._attachment.variable_ids)
            fresh = {}
            if not known.keys() >= own.keys():
                fresh = optimizer_state.initial(optimizer, names, self._model)
            for name, variable in own.items():
                if name in known:
                    variable.assign(known[name])
                elif name in fresh:
                    variable.assign(fresh[name])

    def reset_slots(
        self, kernels: Mapping[str, keras.Variable], where: Mapping[str, np.ndarray]
    ) -> None:
        """Give the optimizers' slots of some weights their initial value.

        Args:
            kernels: The kernels by name.
            where: Boolean arrays by kernel name, True for the weights whose slots are reset.
        """
        for name, kernel in kernels.items():
            if where[name].any():
                for optimizer in self._watch.optimizers():
                    optimizer_state.reset_slots(optimizer, kernel, where[name], self._model)


def _restore_averages(
    point: Snapshot,
    optimizers: Sequence[keras.optimizers.Optimizer],
    named: Mapping[str, keras.Variable],
) -> None:
    """Put the moving averages of weights back, after the weights.

    At an optimizer's start an average is the weight itself: Keras' first step makes it so, and a
    callback that swaps the two in between changes nothing.
    """
    names = {id(variable): name for name, variable in named.items()}
    for optimizer in optimizers:
        state = _state_of(optimizer, point)
        for name, average in optimizer_state.averages(optimizer, names).items():
            if point.step and state is not None and name in state.averages:
                average.assign(state.averages[name])
            elif name in named:
                # A copy: JAX donates each array to its step once.
                average.assign(array(named[name]))


def _state_of(optimizer: keras.optimizers.Optimizer, point: Snapshot) -> OptimizerState | None:
    return next((state for state in point.optimizers if state.optimizer is optimizer), None)


def _described(optimizer: keras.optimizers.Optimizer) -> str:
    kinds = [type(part).__name__ for part in trainers.parts(optimizer)]
    return f"{' of '.join(kinds[:2])} ({optimizer.name!r})"
