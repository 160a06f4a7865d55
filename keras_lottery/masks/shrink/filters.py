"""Depthwise filters: each unit has filters of its own."""

import keras
import numpy as np

from keras_lottery.masks.shrink.units import Channels


def pads(layer: keras.Layer) -> bool:
    """Return whether a convolution computes with zeros around its input."""
    return layer.padding != "valid" and any(size > 1 for size in layer.kernel_size)


def filtered(
    source: Channels, kernel: np.ndarray, zeros_around: bool
) -> tuple[Channels, np.ndarray]:
    """Follow units through depthwise filters.

    Args:
        source: The units before them.
        kernel: The filters; the last axis counts those of a unit, the one before it the units.
        zeros_around: Whether zeros are around the positions of the units.

    Returns:
        The units after the filters, each as often as it has filters; and those units that were
        constant before and, because of the zeros, are not any more.
    """
    kernel = kernel.astype(np.float64)
    positions = tuple(range(kernel.ndim - 2))
    arriving = source.constant[:, None]
    if zeros_around:
        arriving = np.where(arriving == 0, 0, np.nan)
    linked = (kernel != 0).any(axis=positions)
    constant = np.where(linked, arriving * kernel.sum(axis=positions), 0).ravel()
    lost = source.units[source.is_constant & (np.isnan(arriving) & linked).any(axis=1)]
    return Channels(np.repeat(source.units, kernel.shape[-1]), constant), lost
