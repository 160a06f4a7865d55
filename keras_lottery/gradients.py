"""Masked gradients: every optimizer sees those of f(x; mask * weights), whoever calls it.

A pruned weight of f(x; mask * weights) has no gradient. A mask that is applied after the update
alone gives the same training only if the optimizer treats each weight by itself: `clipnorm`,
`global_clipnorm`, Lamb, Muon and Adafactor take norms over all of them.

Keras' optimizers have one door, `BaseOptimizer.apply`, and every way to step goes through it: the
trainers of all backends, `apply_gradients`, `stateless_apply`, loss scaling, `MultiOptimizer`, a
loop of the user's own. While there are masks in the process this module stands in that door, on the
class, since the optimizer that trains a kernel need not be one that its model knows: a backbone is
trained by the optimizer of the whole, a generator by one of its own. When the last masks are
detached the class has its own method back.
"""

import functools
import weakref
from collections.abc import Sequence

import keras

from keras_lottery import keras_internals

# The `Lottery` objects whose masks are attached; garbage is not kept alive by being listed here.
_attached: weakref.WeakSet = weakref.WeakSet()


def mask_while_attached(lottery) -> None:
    """Mask the gradients of a `Lottery`'s kernels from now on, in whatever optimizer."""
    if lottery not in _attached:
        # Called too when the `Lottery` is lost with its model, without having been detached.
        weakref.finalize(lottery, _leave_the_door_if_unused).atexit = False
    _attached.add(lottery)
    _stand_in_the_door()


def stop_masking(lottery) -> None:
    """Leave the gradients of a `Lottery`'s kernels alone again."""
    _attached.discard(lottery)
    _leave_the_door_if_unused()


def _stand_in_the_door() -> None:
    original = keras_internals.BASE_OPTIMIZER.apply
    if hasattr(original, "unmasked"):
        return

    @functools.wraps(original)
    def apply(self, grads, trainable_variables=None):
        """`BaseOptimizer.apply` with the gradients of pruned weights set to zero."""
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

    apply.unmasked = original
    keras_internals.BASE_OPTIMIZER.apply = apply


def _leave_the_door_if_unused() -> None:
    current = keras_internals.BASE_OPTIMIZER.apply
    # A wrapper that somebody else has put around ours has its attributes, and stays.
    is_ours = hasattr(current, "unmasked") and current.__wrapped__ is current.unmasked
    # The length of the set may count a `Lottery` that is being lost.
    if is_ours and not list(_attached):
        keras_internals.BASE_OPTIMIZER.apply = current.unmasked


def mask_of(variable):
    """The `MaskConstraint` on a variable, or `None`."""
    constraint = getattr(variable, "constraint", None)
    return constraint if hasattr(constraint, "mask_gradient") else None


def _masked_gradients(grads: Sequence, variables: Sequence[keras.Variable]) -> list:
    return [
        gradient
        if gradient is None or mask_of(variable) is None
        else mask_of(variable).mask_gradient(gradient)
        for gradient, variable in zip(grads, variables, strict=True)
    ]
