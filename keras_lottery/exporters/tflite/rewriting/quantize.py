"""Weights in fewer bits: `to_float16(values)`, `to_int8(values, axis) -> (integers, scales)`."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

# How far rounding moves a value at most, in steps, with what computing the step itself rounds.
HALF_A_STEP = 0.51

# Symmetric, so that zero stays zero without an offset.
LARGEST = 127

# One scale for the whole tensor is taken while its rounding errors are at most this many times
# those of a scale for each channel, in mean square: one bit. A scale takes 12 bytes, its zero point
# included, as much as many a sparse channel's weights.
_WORTH_A_SCALE = 4.0


def to_float16(values: np.ndarray) -> np.ndarray | None:
    """The values rounded to float16, or `None` where the largest is out of its range."""
    largest = np.abs(values).max(initial=0)
    if largest > np.finfo(np.float16).max or 0 < largest < np.finfo(np.float16).tiny:
        return None
    return values.astype(np.float16)


def to_int8(
    values: np.ndarray, axis: int | None = None, always_by_channel: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The values as 8-bit integers: `values ~ scale * integer`, zero exactly.

    Args:
        values: A float array.
        axis: The axis of the output channels, which may have a scale each; `None` for one scale.
        always_by_channel: Whether each channel has a scale even where one scale for all is nearly
            as good.

    Returns:
        The int8 array, and its scales: float32, one, or one for each index of `axis`.

    >>> integers, scales = to_int8(np.array([[0.0, 1.27], [-0.5, 1.0]]), axis=0)
    >>> integers.tolist(), scales.size
    ([[0, 127], [-50, 100]], 1)
    """
    largest = _largest(values, axis, 1.0 if always_by_channel else _WORTH_A_SCALE)
    scales = (np.where(largest > 0, largest, 1) / LARGEST).astype(np.float32)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    shape = [1] * values.ndim
    if axis is not None and scales.size > 1:
        shape[axis] = scales.size
    integers = np.round(values / scales.reshape(shape))
    return np.clip(integers, -LARGEST, LARGEST).astype(np.int8), scales


def restored(
    integers: np.ndarray, parameters: schema.QuantizationParametersT
) -> tuple[np.ndarray, np.ndarray]:
    """The real values that quantised ones stand for.

    Args:
        integers: An integer array.
        parameters: The schema's `QuantizationParametersT` of its tensor.

    Returns:
        The float values, and the size of a step: one, or in a shape that broadcasts.
    """
    scales: np.ndarray = np.asarray(parameters.scale, np.float32)
    zero_points = np.asarray(parameters.zeroPoint, np.int64)
    if scales.size > 1:
        shape = [1] * integers.ndim
        shape[parameters.quantizedDimension] = -1
        scales, zero_points = scales.reshape(shape), zero_points.reshape(shape)
    return (integers - zero_points) * scales, scales


def _largest(values: np.ndarray, axis: int | None, worth: float) -> np.ndarray:
    """The largest magnitude of the tensor, or of each channel where their scales pay.

    Args:
        values: A float array.
        axis: The axis of the channels, or `None`.
        worth: By what factor scales for each channel must lower the mean square rounding error.
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
