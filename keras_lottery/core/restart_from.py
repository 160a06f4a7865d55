"""Actions on the survivors of a pruning: functions `Kernel -> values` that they restart from.

Values have the kernel's shape and the dtype of `initial`; values of pruned weights mean nothing.
These are the mask-1 actions of Zhou et al. 2019 (https://arxiv.org/abs/1905.01067), who find
that the initial signs matter, not the values: with `_same_sign` a weight takes the sign that it
had at the rewind point, where 0 counts as positive.
"""

from __future__ import annotations

import numpy as np

from keras_lottery.core.hold_at import freeze_unless_shrinking
from keras_lottery.core.kernel import Array, Kernel


def rewind(kernel: Kernel) -> Array:
    """Puts weights back to their value at the rewind point (Frankle & Carbin 2019).

    >>> rewind(Kernel.of([0.5, -2.0], initial=[1.0, -1.0]))
    array([ 1., -1.], dtype=float32)
    """
    return kernel.initial.copy()


def rewind_unless_shrinking(kernel: Kernel) -> Array:
    """Starts weights that training made smaller at 0, and rewinds the others.

    With `hold_at.freeze_unless_shrinking` this is the second variant of Zhou et al. section 5:
    one rule for all weights, live or pruned. The zeros are alive and train on.

    >>> rewind_unless_shrinking(Kernel.of([0.5, -2.0, 1.0], initial=[1.0, -1.0, 1.0]))
    array([ 0., -1.,  1.], dtype=float32)
    """
    return freeze_unless_shrinking(kernel)


def reinit(kernel: Kernel) -> Array:
    """Draws weights anew from the kernel's own initializer. A control, expected to fail.

    >>> reinit(Kernel.of([0.5, -2.0])).shape
    (2,)
    """
    return np.asarray(kernel.draw(kernel.rng), dtype=kernel.initial.dtype)


def reinit_same_sign(kernel: Kernel) -> Array:
    """Draws weights anew and gives them their initial sign.

    >>> np.sign(reinit_same_sign(Kernel.of([0.5, -2.0])))
    array([ 1., -1.], dtype=float32)
    """
    return np.copysign(reinit(kernel), kernel.initial)


def trained_signs(kernel: Kernel) -> Array:
    """Draws weights anew and gives them the sign that training has given them.

    A mask and the signs of a trained network can be enough for a new draw to match it (Gadhikar &
    Burkholz 2024, "Masks, Signs, and Learning Rate Rewinding", https://arxiv.org/abs/2402.19262).

    >>> np.sign(trained_signs(Kernel.of([0.5, -2.0], initial=[-1.0, -1.0])))
    array([ 1., -1.], dtype=float32)
    """
    return np.copysign(reinit(kernel), kernel.current).astype(kernel.initial.dtype)


def reshuffle(kernel: Kernel) -> Array:
    """Permutes the initial values of the live weights among themselves.

    >>> np.sort(reshuffle(Kernel.of([1.0, -2.0, 3.0])))
    array([-2.,  1.,  3.], dtype=float32)
    """
    values = kernel.initial.copy()
    values[kernel.mask] = kernel.rng.permutation(values[kernel.mask])
    return values


def reshuffle_same_sign(kernel: Kernel) -> Array:
    """Permutes the initial magnitudes of the live weights; each weight keeps its initial sign.

    >>> np.sign(reshuffle_same_sign(Kernel.of([1.0, -2.0, 3.0])))
    array([ 1., -1.,  1.], dtype=float32)
    """
    return np.copysign(reshuffle(kernel), kernel.initial)


def signed_constant(kernel: Kernel) -> Array:
    """Sets weights to plus or minus one constant, by their initial sign.

    The constant is the standard deviation of all the kernel's initial values, pruned ones too.

    >>> signed_constant(Kernel.of([1.0, -3.0]))
    array([ 2., -2.], dtype=float32)
    """
    return np.copysign(_deviation(kernel), kernel.initial)


def constant_random_sign(kernel: Kernel) -> Array:
    """Sets weights to plus or minus the constant of `signed_constant` at random. A control.

    >>> np.abs(constant_random_sign(Kernel.of([1.0, -3.0])))
    array([2., 2.], dtype=float32)
    """
    heads = kernel.rng.integers(2, size=kernel.initial.shape, dtype=np.uint8) == 1
    return np.where(heads, _deviation(kernel), -_deviation(kernel))


def _deviation(kernel: Kernel) -> Array:
    return np.full_like(kernel.initial, kernel.initial.std())
