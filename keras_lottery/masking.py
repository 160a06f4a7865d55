"""Masks inside the train step: a kernel's constraint, applied by the optimizer right after its
update.

Keras optimizers call `variable.constraint` within the compiled step, so a mask holds whatever the
optimizer, the number of steps per execution or the compiler. Changing a mask is an assignment to a
variable and retraces nothing.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from keras_lottery import variables
from keras_lottery.core.kernel import Kernel

_DIVERGED = "Those that are alive are not finite either: training diverged."
_OVERWRITTEN = (
    "Something wrote to the weights after the last pruning, for example "
    "EarlyStopping(restore_best_weights=True) or load_weights, with values from before it: let it "
    "start after the last pruning, or call `enforce()`."
)


class MaskError(RuntimeError):
    """A pruned weight does not have the value it is held at."""


class MaskConstraint(keras.constraints.Constraint):
    """Keeps pruned weights where they are held, after the constraint the user had set.

    Args:
        lottery: The `keras_lottery.Lottery` that owns the masks.
        alive: Variable of the kernel's shape and dtype, 1 where a weight is alive and else 0.
        held: Variable of the kernel's shape and dtype with the values of pruned weights, 0 where a
            weight is alive; or `None` if all are held at zero.
        inner: The kernel's own constraint, or `None`.
    """

    def __init__(self, lottery, alive, held, inner):
        self.lottery = lottery
        self.alive = alive
        self.held = held
        self.inner = inner

    def __call__(self, kernel):
        """The kernel with its own constraint applied first and the mask last."""
        average = average_of(variables.optimizer_of(self.lottery.model), kernel)
        if average is not None:
            # The optimizer averaged the weights before they came here, and will write the average
            # into them at the end of training, when no constraint is applied any more.
            average.assign(self.mask(average))
        return self.mask(kernel if self.inner is None else self.inner(kernel))

    def mask(self, values):
        """Values of the kernel's shape with those of pruned weights put where they are held."""
        # Cheaper than a `where`, or a division that would hide NaN, with XLA and without. What is
        # pruned may become -0, which is 0, or NaN where an update diverged: `check` reports that.
        masked = values * self.alive
        return masked if self.held is None else masked + self.held

    def write(self, mask: np.ndarray, held: np.ndarray | None) -> None:
        """Go by another mask, and hold what it prunes at other values, zero if `held` is `None`."""
        self.alive.assign(mask)
        if self.held is not None:
            self.held.assign(np.zeros(mask.shape) if held is None else held)


def attach(
    lottery, model: keras.Model, kernels: Iterable[keras.Variable], holds: bool
) -> list[keras.Variable]:
    """Set a `MaskConstraint` on every kernel, and let the train step see it.

    Args:
        lottery: The `Lottery` that owns the masks.
        model: The kernels' model.
        kernels: The variables to mask.
        holds: Whether pruned weights are held at values of their own, rather than zero.

    Returns:
        The variables that the masks have in the train step.
    """
    optimizer = stateful_optimizer(model)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    ours = []
    for kernel in kernels:
        alive = _state_variable(kernel, "mask", model)
        held = _state_variable(kernel, "held", model) if holds else None
        kernel.constraint = MaskConstraint(lottery, alive, held, kernel.constraint)
        ours += [alive] if held is None else [alive, held]
    if optimizer is not None:
        _hide_from_files(optimizer, ours)
    _retrace(model)
    return ours


def detach(
    model: keras.Model,
    kernels: Iterable[keras.Variable],
    optimizer: keras.optimizers.Optimizer | None,
    ours: Iterable[keras.Variable],
) -> None:
    """Give every kernel its own constraint back, and the optimizer its own variables.

    Args:
        model: The kernels' model.
        kernels: The masked variables.
        optimizer: The `stateful_optimizer` of when they were attached, or `None`.
        ours: What `attach` returned: more than the kernels know, where a constraint was replaced.
    """
    if optimizer is not None:
        for variable in ours:
            _stepping(optimizer)._untrack_variable(variable)
        for part in {optimizer, _stepping(optimizer)}:
            for method in ("save_own_variables", "load_own_variables"):
                object.__delattr__(part, method)
    for kernel in kernels:
        kernel.constraint = kernel.constraint.inner
    _retrace(model)


def stateful_optimizer(model: keras.Model) -> keras.optimizers.Optimizer | None:
    """The optimizer that has to have the masks among its variables, or `None`.

    On JAX whatever a compiled step reads is part of its state or else baked in as a constant, and a
    model's optimizer is the part of the state that may grow. Elsewhere the masks belong to nobody,
    and so are in no file.
    """
    return variables.optimizer_of(model) if keras.backend.backend() == "jax" else None


def lottery_of(variable: keras.Variable):
    """The `Lottery` that masks a variable, or `None`."""
    constraint = variable.constraint
    return constraint.lottery if isinstance(constraint, MaskConstraint) else None


def average_of(
    optimizer: keras.optimizers.Optimizer | None, kernel: keras.Variable
) -> keras.Variable | None:
    """The exponential moving average that an optimizer keeps of a kernel, if it does."""
    optimizer = _stepping(optimizer)
    if not getattr(optimizer, "use_ema", False) or not optimizer.built:
        return None
    averages = zip(
        optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True
    )
    return next((average for variable, average in averages if variable is kernel), None)


def held_values(
    kernel: Kernel,
    mask: np.ndarray,
    before: np.ndarray | None,
    pruned: Callable[[Kernel], np.ndarray],
) -> np.ndarray:
    """Where to hold what a new mask prunes: what the old one did stays where it was; zero where a
    weight is alive."""
    nothing = np.zeros_like(kernel.current)
    held = np.where(kernel.mask, pruned(kernel), nothing if before is None else before)
    return np.where(mask, nothing, held)


def enforce(variable: keras.Variable, mask: np.ndarray, held: np.ndarray | None) -> None:
    """Put the pruned weights of a kernel, or of what is kept of one, where they are held."""
    values = keras.ops.convert_to_numpy(variable)
    masked = np.where(mask, values, values.dtype.type(0) if held is None else held)
    if not np.array_equal(masked, values):
        variable.assign(masked)


def refuse_detached(lottery, kernels: Mapping[str, keras.Variable]) -> None:
    """Raise a `MaskError` if a `Lottery` does not mask all of its kernels."""
    for name, kernel in kernels.items():
        if lottery_of(kernel) is not lottery:
            raise MaskError(
                f"Nothing keeps the pruned weights of {name!r}: its mask was detached, or its "
                "constraint replaced. Call `attach()`."
            )


def refuse_misfits(masks: Mapping[str, np.ndarray], kernels: Mapping[str, keras.Variable]) -> None:
    """Raise a `ValueError` if these are not masks for these kernels: by name, shape and dtype."""
    if set(masks) != set(kernels):
        raise ValueError(
            f"`masks` must have exactly the kernels {list(kernels)}, received {sorted(masks)}."
        )
    for name, mask in zip(masks, map(np.asarray, masks.values()), strict=True):
        shape = tuple(kernels[name].shape)
        if mask.dtype != bool or mask.shape != shape:
            raise ValueError(
                f"The mask of {name!r} must be boolean of shape {shape}, received {mask.dtype} of "
                f"shape {mask.shape}."
            )


def refuse_broken(kernel: Kernel, held: np.ndarray | None) -> None:
    """Raise a `MaskError` if a pruned weight does not have exactly the value it is held at; -0 is
    0."""
    expected = 0.0 if held is None else held[~kernel.mask]
    broken = int(np.count_nonzero(kernel.current[~kernel.mask] != expected))
    if broken:
        diverged = not np.all(np.isfinite(kernel.current[kernel.mask]))
        raise MaskError(
            f"{kernel.name!r}: {broken} of {np.count_nonzero(~kernel.mask)} pruned weights "
            f"are not where they are held. {_DIVERGED if diverged else _OVERWRITTEN}"
        )


def warn_of_zeros(kernels: Mapping[str, np.ndarray]) -> None:
    """Warn of kernels that look pruned, where no mask keeps them so."""
    zeros = {name: values.size - np.count_nonzero(values) for name, values in kernels.items()}
    # Drawn weights are hardly ever zero; a kernel may well start with nothing else.
    sparse = [
        f"{name!r} ({zeros[name]} of {values.size})"
        for name, values in kernels.items()
        if values.size / 10 <= zeros[name] < values.size
    ]
    if sparse:
        warnings.warn(
            f"Weights are exactly zero without a mask that keeps them so: {', '.join(sparse)}. "
            "Training will bring them back. If they were pruned, put their `Ticket` on the model "
            "or use `Lottery.from_zeros(model)` before anything else makes masks.",
            stacklevel=3,
        )


def _state_variable(kernel: keras.Variable, name: str, model: keras.Model) -> keras.Variable:
    """A variable of zeros like a kernel, which the compiled train step reads anew each time."""
    optimizer = stateful_optimizer(model)
    if optimizer is not None:
        return _stepping(optimizer).add_variable_from_reference(kernel, name=name)
    with variables.scope(model):
        return keras.Variable(
            np.zeros(kernel.shape), kernel.dtype, trainable=False, name=f"{kernel.name}_{name}"
        )


def _retrace(model: keras.Model) -> None:
    # A train function traced before would go on with the constraints it saw then.
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)


def _stepping(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that makes the step: the inner one under loss scaling."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _hide_from_files(optimizer: keras.optimizers.Optimizer, ours: list[keras.Variable]) -> None:
    """Save and load an optimizer as if these variables of its own were not there."""

    def without_ours(method, part):
        def call(store):
            for variable in ours:
                _stepping(optimizer)._untrack_variable(variable)
            try:
                method(part, store)
            finally:
                # In the same order: a compiled step knows its variables by their position.
                for variable in ours:
                    _stepping(optimizer)._track_variable(variable)

        return call

    # Set on the instances: they keep their classes, and `detach` removes the two again.
    for part in {optimizer, _stepping(optimizer)}:
        for method in (type(part).save_own_variables, type(part).load_own_variables):
            object.__setattr__(part, method.__name__, without_ours(method, part))
