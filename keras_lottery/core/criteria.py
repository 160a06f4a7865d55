"""Criteria: functions `Kernel -> scores`. The weights with the lowest scores are pruned.

Scores have the kernel's shape and are finite and floating point, in the dtype of its values
unless said otherwise. Only their order counts. Scores of pruned weights mean nothing.

A criterion that needs more than the record (gradients, activations) is computed beforehand and
closed over: `scores = {...}; criterion = lambda kernel: scores[kernel.name]`.

Most of them are the mask criteria of Zhou et al. 2019, "Deconstructing Lottery Tickets"
(https://arxiv.org/abs/1905.01067): `initial` is their w_i, `current` their w_f.
"""

from __future__ import annotations

import numpy as np

from keras_lottery.core.kernel import Array, Kernel, Mask

# Other names that the field has for one of these.
ALIASES = {"magnitude": "large_final"}


def large_final(kernel: Kernel) -> Array:
    """Keeps weights that are large now: `|w_f|` (Frankle & Carbin 2019).

    >>> large_final(Kernel.of([0.5, -2.0, 1.0]))
    array([0.5, 2. , 1. ], dtype=float32)
    """
    return np.abs(kernel.current)


def small_final(kernel: Kernel) -> Array:
    """Keeps weights that are small now: `-|w_f|`. A control, expected to fail.

    >>> small_final(Kernel.of([0.5, -2.0, 1.0]))
    array([-0.5, -2. , -1. ], dtype=float32)
    """
    return -np.abs(kernel.current)


def large_init(kernel: Kernel) -> Array:
    """Keeps weights that were large at the rewind point: `|w_i|`.

    >>> large_init(Kernel.of([0.0, 0.0], initial=[0.5, -2.0]))
    array([0.5, 2. ], dtype=float32)
    """
    return np.abs(kernel.initial)


def small_init(kernel: Kernel) -> Array:
    """Keeps weights that were small at the rewind point: `-|w_i|`. A control, expected to fail.

    >>> small_init(Kernel.of([0.0, 0.0], initial=[0.5, -2.0]))
    array([-0.5, -2. ], dtype=float32)
    """
    return -np.abs(kernel.initial)


def large_init_large_final(kernel: Kernel) -> Array:
    """Keeps weights that were large and still are: the lower of the two rank percentiles.

    Zhou et al. write `min(a|w_f|, |w_i|)`, with `a` such that one percentile is the threshold of
    both magnitudes. Comparing percentiles among the live weights keeps the same weights
    without a search for `a`.

    Returns:
        float64, in (0, 1]: float32 cannot tell more than 2**24 ranks apart.

    >>> large_init_large_final(Kernel.of([3.0, 2.0, 1.0, 4.0], initial=[1.0, 2.0, 3.0, 4.0]))
    array([0.25, 0.5 , 0.25, 1.  ])
    """
    return np.minimum(
        _rank_percentile(np.abs(kernel.initial), kernel.mask),
        _rank_percentile(np.abs(kernel.current), kernel.mask),
    )


def small_init_small_final(kernel: Kernel) -> Array:
    """Keeps weights that were small and still are: minus the higher of the two rank percentiles.

    The reverse of `large_init_large_final`, in the same way.

    Returns:
        float64, in [-1, 0].

    >>> small_init_small_final(Kernel.of([3.0, 2.0, 1.0, 4.0], initial=[1.0, 2.0, 3.0, 4.0]))
    array([-0.75, -0.5 , -0.75, -1.  ])
    """
    return -np.maximum(
        _rank_percentile(np.abs(kernel.initial), kernel.mask),
        _rank_percentile(np.abs(kernel.current), kernel.mask),
    )


def magnitude_increase(kernel: Kernel) -> Array:
    """Keeps weights that grew most: `|w_f| - |w_i|`.

    >>> magnitude_increase(Kernel.of([0.5, -2.0], initial=[1.0, 1.5]))
    array([-0.5,  0.5], dtype=float32)
    """
    return np.abs(kernel.current) - np.abs(kernel.initial)


def movement(kernel: Kernel) -> Array:
    """Keeps weights that moved furthest from the rewind point: `|w_f - w_i|`.

    >>> movement(Kernel.of([0.5, -2.0], initial=[1.0, 1.5]))
    array([0.5, 3.5], dtype=float32)
    """
    return np.abs(kernel.current - kernel.initial)


def large_final_same_sign(kernel: Kernel) -> Array:
    """Keeps weights that are large and never changed sign: `|w_f|` if the signs agree.

    Where the signs differ (a zero agrees with nothing) Zhou et al. score 0. All these weights
    would tie, though some of them often have to stay. Here they score `-|w_f|`, so that the
    smallest stay: they do the least harm when rewound.

    >>> large_final_same_sign(Kernel.of([0.5, -2.0, 1.0], initial=[1.0, 1.0, -1.0]))
    array([ 0.5, -2. , -1. ], dtype=float32)
    """
    magnitude = np.abs(kernel.current)
    agree = np.sign(kernel.initial) * np.sign(kernel.current) > 0
    return np.where(agree, magnitude, -magnitude)


def large_final_diff_sign(kernel: Kernel) -> Array:
    """Keeps weights that are large and changed sign: `|w_f|` if the signs differ, else `-|w_f|`.

    The reverse of `large_final_same_sign`, ties broken in the same way.

    >>> large_final_diff_sign(Kernel.of([0.5, -2.0, 1.0], initial=[1.0, 1.0, -1.0]))
    array([-0.5,  2. ,  1. ], dtype=float32)
    """
    magnitude = np.abs(kernel.current)
    differ = np.sign(kernel.initial) * np.sign(kernel.current) < 0
    return np.where(differ, magnitude, -magnitude)


def random(kernel: Kernel) -> Array:
    """Keeps random weights: scores are uniform on [0, 1), from the kernel's generator. A control.

    Returns:
        float32.

    >>> random(Kernel.of([0.5, -2.0])).shape
    (2,)
    """
    return kernel.rng.random(kernel.current.shape, dtype=np.float32)


def least_change(kernel: Kernel) -> Array:
    """Prunes the weights that changed least since the kernel was last pruned: `|w_f - w_prev|`.

    For pruning at every epoch. It is a blog's idea of 2021, without published numbers.

    >>> least_change(Kernel.of([0.5, -2.0], initial=[9.0, 9.0], previous=[1.0, -2.0]))
    array([0.5, 0. ], dtype=float32)
    """
    return np.abs(kernel.current - kernel.previous)


def _rank_percentile(values: Array, mask: Mask) -> Array:
    """Ranks live values in (0, 1], the largest 1; equal values share their average rank."""
    _, place, count = np.unique(values[mask], return_inverse=True, return_counts=True)
    average = np.cumsum(count) - (count - 1) / 2
    percentile = np.zeros(values.shape)
    percentile[mask] = average[place] / place.size
    return percentile
