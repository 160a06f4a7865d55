"""Actions on pruned weights: functions `Kernel -> values` that say where they are held.

Values have the kernel's shape and the dtype of `initial`; values of live weights mean nothing.
The three are the mask-0 actions of Zhou et al. 2019 (https://arxiv.org/abs/1905.01067).
"""

from __future__ import annotations

import numpy as np

from keras_lottery.core.kernel import Array, Kernel


def zero(kernel: Kernel) -> Array:
    """Holds pruned weights at 0.

    >>> zero(Kernel.of([0.5, -2.0]))
    array([0., 0.], dtype=float32)
    """
    return np.zeros_like(kernel.initial)


def freeze(kernel: Kernel) -> Array:
    """Holds pruned weights at their value at the rewind point.

    >>> freeze(Kernel.of([0.5, -2.0], initial=[1.0, -1.0]))
    array([ 1., -1.], dtype=float32)
    """
    return kernel.initial.copy()


def freeze_unless_shrinking(kernel: Kernel) -> Array:
    """Holds pruned weights at 0 where training made them smaller, else at their initial value.

    The first variant of Zhou et al. section 5: 0 where `|w_i| > |w_f|`, otherwise `w_i`. For the
    second, which treats live weights in the same way, add `restart_from.rewind_unless_shrinking`.

    >>> freeze_unless_shrinking(Kernel.of([0.5, -2.0, 1.0], initial=[1.0, -1.0, 1.0]))
    array([ 0., -1.,  1.], dtype=float32)
    """
    shrinking = np.abs(kernel.initial) > np.abs(kernel.current)
    return np.where(shrinking, kernel.initial.dtype.type(0), kernel.initial)
