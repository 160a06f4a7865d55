"""Puts variables and optimizers back to a rewind point, or says what cannot go back before it
changes anything."""

from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np

from keras_lottery import adapters, assignment, optimizer_state, trainers, variables
from keras_lottery.arrays import array
from keras_lottery.snapshot import OptimizerState, Snapshot


def refuse_unknown_variables(point: Snapshot, named: Mapping[str, keras.Variable]) -> None:
    """Raise a `ValueError` if a model has variables that it did not have at its rewind point."""
    unknown = [name for name in named if name not in point.values and not adapters.is_adapter(name)]
    if unknown:
        raise ValueError(
            f"Variables were made after the rewind point was saved and cannot be rewound: "
            f"{', '.join(unknown)}. Build every layer before the masks are made (call the model "
            "on a batch with `training=True`), or call `save_rewind_point()` again."
        )


def refuse_unknown_optimizers(
    point: Snapshot, optimizers: Sequence[keras.optimizers.Optimizer]
) -> None:
    """Raise a `ValueError` if the state that an optimizer had at the rewind point is not known.

    An optimizer that came later was at its own start at step 0, and nowhere at a later step.
    """
    for optimizer in optimizers:
        known = _state_of(optimizer, point) is not None
        if not known and point.step:
            raise ValueError(
                f"The model was compiled anew after its rewind point was saved, at step "
                f"{point.step}: the state that {_described(optimizer)} would have had then is not "
                "known."
            )


def restore_variables(
    model: keras.Model,
    point: Snapshot,
    named: Mapping[str, keras.Variable],
    starts: Mapping[str, np.ndarray],
) -> None:
    """Put every variable back, where kernels start from `starts`.

    An adapter that was added since (LoRA) gets a value with which it adds nothing.
    """

    def value(name, variable):
        if name in starts:
            return starts[name]
        if name in point.values:
            return point.values[name]
        return adapters.neutral(name, variable)

    values = {id(variable): value(name, variable) for name, variable in named.items()}
    now = variables.named(model)
    assignment.assign(model, {name: values[id(variable)] for name, variable in now.items()})


def restore_optimizers(
    point: Snapshot,
    optimizers: Sequence[keras.optimizers.Optimizer],
    named: Mapping[str, keras.Variable],
    ours: Collection[int],
    model: keras.Model,
) -> None:
    """Put optimizers back: iteration count, learning rate and slots, each by its variable.

    What an optimizer did not have at the rewind point, or an optimizer that came after it, goes
    back to its own start; a learning rate that was assigned to the latter since stays.

    Args:
        point: The rewind point; see `refuse_unknown_optimizers`.
        optimizers: The optimizers.
        named: The variables of the model by name.
        ours: The `id` of variables in the optimizers that are not theirs.
        model: The model.
    """
    names = {id(variable): name for name, variable in named.items()}
    for optimizer in optimizers:
        state = _state_of(optimizer, point)
        known = {} if state is None else state.values
        own = optimizer_state.named(optimizer, names, ours)
        fresh = {}
        if not known.keys() >= own.keys():
            fresh = optimizer_state.initial(optimizer, names, model)
        for name, variable in own.items():
            if name in known:
                variable.assign(known[name])
            elif name in fresh:
                variable.assign(fresh[name])


def restore_averages(
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
