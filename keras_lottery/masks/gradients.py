"""Masks gradients: every optimizer sees those of f(x; mask * weights), whoever calls it.

A pruned weight of f(x; mask * weights) has no gradient. A mask that is applied after the update
alone gives the same training only if the optimizer treats each weight by itself: `clipnorm`,
`global_clipnorm`, Lamb, Muon and Adafactor take norms over all of them.

Keras' optimizers have one door, `BaseOptimizer.apply`, and every way to step goes through it: the
trainers of all backends, `apply_gradients`, `stateless_apply`, loss scaling, `MultiOptimizer`, a
loop of the user's own. While there are masks in the process this module stands in that door, on the
class, since the optimizer that trains a kernel need not be one that its model knows: a backbone is
trained by the optimizer of the whole, a generator by one of its own. It stands in a second one,
`Trainer.make_train_function`, so that the masks meet a whole that was compiled after them. When the
last masks are detached, or lost, the classes have their own methods back.
"""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras

from keras_lottery.model import keras_internals


class Owner(Protocol):
    """The owner of masks, a `Lottery`, as the code that applies the masks sees it."""

    model: keras.Model

    def check(self) -> None:
        """Verify the masks."""

    def attach(self) -> None:
        """Make the train step apply the masks."""

    def note_step(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Note that an optimizer steps, or traces a step, in which it sees the masks."""

    def meet(self, model: keras.Model) -> None:
        """Take notice of a model that is about to train the kernels."""


# The owners whose masks are attached; garbage is not kept alive by being listed here.
_attached: weakref.WeakSet[Owner] = weakref.WeakSet()


def mask_while_attached(lottery: Owner) -> None:
    """Mask the gradients of a `Lottery`'s kernels from now on, in whatever optimizer."""
    if lottery not in _attached:
        # Called too when the `Lottery` is lost with its model, without having been detached.
        weakref.finalize(lottery, _leave_unused_doors).atexit = False
    _attached.add(lottery)
    for owner, name, standing in _DOORS:
        method = getattr(owner, name)
        if not hasattr(method, "unmasked"):
            masked: Any = standing(method)
            masked.unmasked = method
            setattr(owner, name, masked)


def stop_masking(lottery: Owner) -> None:
    """Leave the gradients of a `Lottery`'s kernels alone again."""
    _attached.discard(lottery)
    _leave_unused_doors()


def attached_to(model: keras.Model) -> list[Owner]:
    """The owners that put masks on a model and have not taken them off."""
    return [owner for owner in _attached if owner.model is model]


def _leave_unused_doors() -> None:
    if list(_attached):  # The length may count a `Lottery` that is being lost.
        return
    for owner, name, _ in _DOORS:
        method = getattr(owner, name)
        # A wrapper that somebody else has put around ours has its attributes, and stays.
        if hasattr(method, "unmasked") and method.__wrapped__ is method.unmasked:
            setattr(owner, name, method.unmasked)


def _masking(original: Callable[..., Any]) -> Callable[..., Any]:
    """`BaseOptimizer.apply` with the gradients of pruned weights set to zero."""

    @functools.wraps(original)
    def apply(
        self: keras.optimizers.Optimizer,
        grads: Sequence[Any],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> Any:
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        variables = trainable_variables or keras_internals.variables_trained_by(self)
        masked = [variable for variable in variables if mask_of(variable) is not None]
        if not masked or len(grads) != len(variables):  # The latter is for Keras to refuse.
            return original(self, grads, trainable_variables)
        result = original(self, _masked_gradients(grads, variables), trainable_variables)
        for kernel in masked:
            mask_of(kernel).after_step(kernel, self)
        return result

    return apply


def _meeting(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Trainer.make_train_function` that tells the masks which model will train their kernels."""

    @functools.wraps(original)
    def make_train_function(self: keras.Model, force: bool = False) -> Any:
        masks = filter(None, map(mask_of, self.trainable_variables))
        for lottery in {mask.lottery for mask in masks}:
            lottery.meet(self)
        return original(self, force)

    return make_train_function


# A class, the name of a method that others end in, and what stands in for it.
_DOORS = (
    (keras_internals.BASE_OPTIMIZER, "apply", _masking),
    (keras_internals.TRAINER, "make_train_function", _meeting),
)


def mask_of(variable: keras.Variable) -> Any:
    """The `MaskConstraint` on a variable, or `None`."""
    constraint = getattr(variable, "constraint", None)
    return constraint if hasattr(constraint, "mask_gradient") else None


def _masked_gradients(grads: Sequence, variables: Sequence[keras.Variable]) -> list[Any]:
    return [
        gradient
        if gradient is None or mask_of(variable) is None
        else mask_of(variable).mask_gradient(gradient)
        for gradient, variable in zip(grads, variables, strict=True)
    ]
