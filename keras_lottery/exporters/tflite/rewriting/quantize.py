"""Weights in fewer bits: `to_float16(values)`, `to_int8(values, axis) -> (integers, scales)`."""

import numpy as np

# How far rounding moves a value at most, in steps, with what computing the step itself rounds.
HALF_A_STEP = 0.51

# Symmetric, so that zero stays zero without an offset.
LARGEST = 127

# One scale for the whole tensor is taken while its rounding errors are at most this many times
# those of a scale for each channel, in mean square: one bit. A scale takes 12 bytes, its zero point
# included, as much as many a sparse channel's weights.
_WORTH_A_SCALE = 4.0


def to_float16(values):
    """The values rounded to float16, or `None` where the largest is out of its range."""
    largest = np.abs(values).max(initial=0)
    if largest > np.finfo(np.float16).max or 0 < largest < np.finfo(np.float16).tiny:
        return None
    return values.astype(np.float16)


def to_int8(values, axis=None, always_by_channel=False):
    """The values as 8-bit integers: `values ~ scale * integer`, zero exactly.

    Args:
        values: A float array.
        axis: The axis of the output channels, which may have a scale each; `None` for one scale.
        always_by_channel: Whether they have one each even where one for all is nearly as good.

    Returns:
        The int8 array, and its scales: float32, one, or one for each index of `axis`.

    >>> integers, scales = to_int8(np.array([[0.0, 1.27], [-0.5, 1.0]]), axis=0)
    >>> integers.tolist(), scales.size
    ([[0, 127], [-50, 100]], 1)
    """
    scales = _largest(values, axis, 1.0 if always_by_channel else _WORTH_A_SCALE)
    scales = (np.where(scales > 0, scales, 1) / LARGEST).astype(np.float32)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    shape = [1] * values.ndim
    if scales.size > 1:
        shape[axis] = scales.size
    integers = np.round(values / scales.reshape(shape))
    return np.clip(integers, -LARGEST, LARGEST).astype(np.int8), scales


def restored(integers, parameters):
    """What quantised values stand for.

    Args:
        integers: An integer array.
        parameters: The schema's `QuantizationParametersT` of its tensor.

    Returns:
        The float values, and the size of a step: one, or of a shape that fits the array's.
    """
    scales = np.asarray(parameters.scale, np.float32)
    zero_points = np.asarray(parameters.zeroPoint, np.int64)
    if scales.size > 1:
        shape = [1] * integers.ndim
        shape[parameters.quantizedDimension] = -1
        scales, zero_points = scales.reshape(shape), zero_points.reshape(shape)
    return (integers - zero_points) * scales, scales


def _largest(values, axis, worth):
    """The largest magnitude of the tensor, or of each channel where that is worth its bytes.

    Args:
        values: A float array.
        axis: That of the channels, or `None`.
        worth: How many times the mean square rounding error has to be that of a scale for each
            channel.
    """
    whole = np.abs(values).max(initial=0).reshape(1)
    if axis is None or not whole.any():
        return whole
    others = tuple(a for a in range(values.ndim) if a != axis)
    largest = np.abs(values).max(axis=others)
    # The rounding error of a weight is uniform over its scale, so its square goes with the scale's.
    alive = np.count_nonzero(values, axis=others)
    ratio = alive.sum() / (alive * (largest / whole) ** 2).sum()
    return largest if ratio > worth else whole
