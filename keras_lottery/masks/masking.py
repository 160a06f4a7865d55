"""Masks inside the train step: on the gradient before the optimizer sees it, and on the kernel
right after its update.

The mask after the update is a kernel's constraint, which Keras optimizers call within the compiled
step: it holds whatever the optimizer, the number of steps per execution or the compiler. For the
gradient see `gradients`. Changing a mask is an assignment to a variable and retraces nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.core.kernel import Kernel
from keras_lottery.masks import gradients
from keras_lottery.masks.gradients import Owner
from keras_lottery.model import keras_internals, trainers
from keras_lottery.model.arrays import array


class MaskError(RuntimeError):
    """A pruned weight does not have the value it is held at, or a train step has lost the masks."""


class MaskConstraint(keras.constraints.Constraint):
    """Keeps pruned weights where they are held, after the constraint the user had set.

    Args:
        lottery: The `keras_lottery.Lottery` that owns the masks.
        alive: Variable of the kernel's shape and dtype, 1 where a weight is alive and else 0.
        held: Variable of the kernel's shape and dtype with the values of pruned weights, 0 where a
            weight is alive; or `None` if all are held at zero.
        inner: The kernel's own constraint, or `None`.
    """

    def __init__(
        self,
        lottery: Owner,
        alive: keras.Variable,
        held: keras.Variable | None,
        inner: Callable[[Any], Any] | None,
    ):
        self.lottery = lottery
        self.alive = alive
        self.held = held
        self.inner = inner

    def __call__(self, kernel: Any) -> Any:
        """The kernel with its own constraint applied first and the mask last."""
        return self.mask(kernel if self.inner is None else self.inner(kernel))

    def mask(self, values: Any) -> Any:
        """Put the pruned weights among some values of the kernel's shape where they are held."""
        values, alive = keras.ops.convert_to_tensor(values), self._alive_beside(values)
        # Cheaper than a `where`, or a division that would hide NaN, with XLA and without. What is
        # pruned may become -0, which is 0, or NaN where an update diverged: `check` reports that.
        masked = values * alive
        return masked if self.held is None else masked + self.held

    def mask_gradient(self, gradient: Any) -> Any:
        """Set the gradient of pruned weights to zero.

        Args:
            gradient: A tensor of the kernel's shape, or TensorFlow's slices of rows of one.
        """
        rows_alone = hasattr(gradient, "dense_shape")  # torch's tensors have `indices`, too
        alive = self._alive_beside(gradient.values if rows_alone else gradient)
        if rows_alone:
            rows = keras.ops.cast(keras.ops.take(alive, gradient.indices, axis=0), gradient.dtype)
            return type(gradient)(gradient.values * rows, gradient.indices, gradient.dense_shape)
        return gradient * keras.ops.cast(alive, gradient.dtype)

    def after_step(self, kernel: keras.Variable, optimizer: keras.optimizers.Optimizer) -> None:
        """Mask the moving average that an optimizer keeps of the kernel, and note that its step
        applies the mask."""
        self.lottery.note_step(optimizer)
        average = average_of(optimizer, kernel)
        if average is not None:
            # The optimizer averaged the weights before the constraint saw them, and will write the
            # average into them at the end of training, when no constraint is applied any more.
            average.assign(self.mask(average))

    def write(self, mask: np.ndarray, held: np.ndarray | None) -> None:
        """Take another mask, and hold the weights it prunes at `held`, or at zero for `None`."""
        self.alive.assign(mask)
        if self.held is not None:
            self.held.assign(np.zeros(mask.shape) if held is None else held)

    def _alive_beside(self, values: Any) -> Any:
        """The mask as a tensor, if the step that these values belong to reads it anew each time."""
        alive = keras.ops.convert_to_tensor(self.alive)
        traced = keras.ops.convert_to_tensor(values)
        if keras_internals.is_traced(traced) and not keras_internals.is_traced(alive):
            raise MaskError(
                "This JAX step would take the masks of "
                f"{self.lottery.model.name!r} for constants and never see another pruning: its "
                "optimizer is none that the masks know, or the step was not given all of "
                "`optimizer.variables` as an argument. Name the optimizer, "
                "`Lottery(model, optimizer=the_optimizer)`, or make the masks over the model that "
                "is trained."
            )
        return alive


def lottery_of(variable: keras.Variable) -> Any:
    """The `Lottery` that masks a variable, or `None`."""
    constraint = gradients.mask_of(variable)
    return None if constraint is None else constraint.lottery


def average_of(
    optimizer: keras.optimizers.Optimizer | None, kernel: keras.Variable
) -> keras.Variable | None:
    """The exponential moving average that an optimizer keeps of a kernel, if it does."""
    for part in [] if optimizer is None else trainers.parts(optimizer):
        trained = keras_internals.variables_trained_by(part)
        for variable, average in zip(trained, keras_internals.averages_of(part), strict=False):
            if variable is kernel:
                return average
    return None


def held_values(
    record: Kernel,
    mask: np.ndarray,
    before: np.ndarray | None,
    action: Callable[[Kernel], np.ndarray],
) -> np.ndarray:
    """The values to hold pruned weights at under a new mask, zero where a weight is alive.

    Weights that were pruned before keep the values they were held at.
    """
    nothing = np.zeros_like(record.current)
    held = np.where(record.mask, action(record), nothing if before is None else before)
    return np.where(mask, nothing, held)


def enforce(variable: keras.Variable, mask: np.ndarray, held: np.ndarray | None) -> None:
    """Put the pruned weights of a kernel, or of its moving average, where they are held."""
    values, dead = array(variable), ~mask
    wanted = values.dtype.type(0) if held is None else held
    if np.any((values != wanted) & dead):
        np.putmask(values, dead, wanted)  # a third of the time of indexing by `dead`
        variable.assign(values)


def refuse_misfits(masks: Mapping[str, np.ndarray], kernels: Mapping[str, keras.Variable]) -> None:
    """Raise a `ValueError` if masks do not fit the kernels: by name, shape and dtype."""
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
