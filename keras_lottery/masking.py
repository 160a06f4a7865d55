"""Masks inside the train step: a kernel's constraint, applied by the optimizer right after its
update.

Keras optimizers call `variable.constraint` within the compiled step, so a mask holds whatever the
optimizer, the number of steps per execution or the compiler. Changing a mask is an assignment to a
variable and retraces nothing.
"""

import contextlib
from collections.abc import Collection, Iterator

import keras
import numpy as np

from keras_lottery import variables
from keras_lottery.core.kernel import Kernel


class MaskError(RuntimeError):
    """A pruned weight does not have the value it is held at."""


class MaskConstraint(keras.constraints.Constraint):
    """Keeps pruned weights where they are held, after the constraint the user had set.

    Args:
        owner: The object that owns the masks (a `keras_lottery.Lottery`).
        alive: Variable of the kernel's shape, true or 1 where a weight is alive.
        held: Variable of the kernel's shape and dtype with the values of pruned weights, or `None`
            for zero.
        inner: The kernel's own constraint, or `None`.
    """

    def __init__(self, owner, alive, held, inner):
        self.owner = owner
        self.alive = alive
        self.held = held
        self.inner = inner

    def __call__(self, kernel):
        """The kernel with its own constraint applied first and the mask last."""
        if self.inner is not None:
            kernel = self.inner(kernel)
        alive = keras.ops.cast(self.alive, "bool")
        held = keras.ops.zeros_like(kernel) if self.held is None else self.held
        return keras.ops.where(alive, kernel, held)


def attach(
    owner: object, model: keras.Model, kernels: Collection[keras.Variable], holds: bool
) -> None:
    """Set a `MaskConstraint` on every kernel, and let the train step see it.

    Args:
        owner: The object that owns the masks.
        model: The kernels' model.
        kernels: The variables to mask.
        holds: Whether pruned weights are held at values of their own, rather than zero.
    """
    for kernel in kernels:
        alive = _state_variable(kernel, f"{kernel.name}_mask", "bool", model)
        held = None
        if holds:
            held = _state_variable(kernel, f"{kernel.name}_held", kernel.dtype, model)
        kernel.constraint = MaskConstraint(owner, alive, held, kernel.constraint)
    optimizer = stateful_optimizer(model)
    if optimizer is not None:
        _hide_from_files(optimizer, step_variables(kernels))
    _retrace(model)


def detach(
    model: keras.Model,
    kernels: Collection[keras.Variable],
    optimizer: keras.optimizers.Optimizer | None,
) -> None:
    """Give every kernel its own constraint back, and the optimizer its own variables.

    Args:
        model: The kernels' model.
        kernels: The masked variables.
        optimizer: The optimizer that holds variables of ours (on JAX), or `None`.
    """
    if optimizer is not None:
        _untrack(optimizer, step_variables(kernels))
        for name in ("save_own_variables", "load_own_variables"):
            optimizer.__dict__.pop(name, None)
    for kernel in kernels:
        kernel.constraint = kernel.constraint.inner
    _retrace(model)


def stateful_optimizer(model: keras.Model) -> keras.optimizers.Optimizer | None:
    """The optimizer that must hold the masks as part of its state: the model's on JAX, or `None`."""
    return variables.optimizer_of(model) if keras.backend.backend() == "jax" else None


def step_variables(kernels: Collection[keras.Variable]) -> list[keras.Variable]:
    """The variables that the masks of these kernels need in the train step."""
    constraints = [kernel.constraint for kernel in kernels]
    return [c.alive for c in constraints] + [c.held for c in constraints if c.held is not None]


def _retrace(model: keras.Model) -> None:
    # A train function traced before would go on with the constraints it saw then.
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)


def _state_variable(
    kernel: keras.Variable, name: str, dtype: str, model: keras.Model
) -> keras.Variable:
    """A zero-initialised variable beside a kernel that the compiled train step reads anew each
    time.

    On JAX everything a step reads must be part of its state, or it is baked in as a constant, so
    the variable joins those of the model's optimizer there (in the kernel's dtype). Elsewhere it
    belongs to nobody, and so is in no file.

    Args:
        kernel: The variable whose shape (and on JAX dtype) it takes.
        name: A name for it.
        dtype: Its dtype.
        model: The kernel's model.

    Returns:
        A non-trainable `keras.Variable`.
    """
    optimizer = stateful_optimizer(model)
    if optimizer is not None:
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        return _stepping(optimizer).add_variable_from_reference(kernel, name=name)
    strategy = getattr(model, "distribute_strategy", None)
    with strategy.scope() if strategy is not None else contextlib.nullcontext():
        return keras.Variable(
            np.zeros(kernel.shape, "float32"), dtype=dtype, trainable=False, name=name
        )


def _hide_from_files(optimizer: keras.optimizers.Optimizer, hidden: list[keras.Variable]) -> None:
    """Save and load an optimizer as if these variables of its own were not there."""

    def save_own_variables(store):
        with _untracked(optimizer, hidden):
            type(optimizer).save_own_variables(optimizer, store)

    def load_own_variables(store):
        with _untracked(optimizer, hidden):
            type(optimizer).load_own_variables(optimizer, store)

    # Set on the instance: the optimizer keeps its class, and `detach` removes the two again.
    object.__setattr__(optimizer, "save_own_variables", save_own_variables)
    object.__setattr__(optimizer, "load_own_variables", load_own_variables)


def average_of(
    optimizer: keras.optimizers.Optimizer | None, kernel: keras.Variable
) -> keras.Variable | None:
    """The exponential moving average that an optimizer keeps of a kernel, if it does."""
    if optimizer is None:
        return None
    optimizer = _stepping(optimizer)
    if not getattr(optimizer, "use_ema", False) or not optimizer.built:
        return None
    for variable, average in zip(
        optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True
    ):
        if variable is kernel:
            return average
    return None


def _stepping(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that makes the step: the inner one under loss scaling."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _untrack(optimizer, hidden) -> None:
    tracked = _stepping(optimizer)._variables
    ours = {id(variable) for variable in hidden}
    for position in reversed([i for i, v in enumerate(tracked) if id(v) in ours]):
        del tracked[position]


@contextlib.contextmanager
def _untracked(optimizer, hidden) -> Iterator[None]:
    _untrack(optimizer, hidden)
    try:
        yield
    finally:
        for variable in hidden:
            _stepping(optimizer)._track_variable(variable)


def violations(kernel: Kernel, held: np.ndarray | None) -> int:
    """How many pruned weights do not have exactly the value they are held at."""
    expected = 0.0 if held is None else held[~kernel.mask]
    return int(np.count_nonzero(kernel.current[~kernel.mask] != expected))
