"""Makes MNIST-like images of scikit-learn's 8x8 digits, where MNIST itself is not at hand.

The digits are few, and squeezed into a square. So each is drawn anew many times, a little rotated,
slanted, stretched and with another pen; else a network trained on them reads nobody else's hand.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from experiments import datasets

FIELD, BOX, CENTRE = 28, 20, 14
ENLARGE = 4
COPIES = 10


def load(limit=None, seed=0):
    """Load the digits as a `Dataset` of images [n, 28, 28, 1], the training images COPIES times.

    Args:
        limit: The largest number of images to take before copying, of the training and test set.
        seed: Seed of the distortions.
    """
    dataset = datasets.load("digits", limit=limit)
    rng = np.random.default_rng(seed)
    written = [_distorted(image, rng) for _ in range(COPIES) for image in dataset.x_train[..., 0]]
    plain = [to_mnist(_inked(_enlarged(image), 0.7)) for image in dataset.x_test[..., 0]]
    return dataclasses.replace(
        dataset,
        x_train=np.float32(written)[..., np.newaxis],
        y_train=np.tile(dataset.y_train, COPIES),
        x_test=np.float32(plain)[..., np.newaxis],
        name="scikit-learn's digits, enlarged from 8x8",
    )


def to_mnist(ink):
    """Convert a digit's image to MNIST's convention, exactly as the page's `mnist.js` does.

    Args:
        ink: Array [height, width], 0 (paper) to 1 (ink), not empty.

    Returns:
        Array [28, 28] in [0, 1].
    """
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(box.shape)
    small = _shares(box.shape[0], scale) @ box @ _shares(box.shape[1], scale).T
    at = np.arange(BOX) + 0.5
    # As near to the middle as keeps the whole digit in the field.
    height, width = (1 + np.flatnonzero(small.any(axis=axis)).max() for axis in (1, 0))
    top = np.clip(CENTRE - int(small.sum(1) @ at / small.sum()), 0, FIELD - height)
    left = np.clip(CENTRE - int(small.sum(0) @ at / small.sum()), 0, FIELD - width)
    wide = np.pad(small, FIELD)[FIELD - top :, FIELD - left :]
    return np.minimum(wide[:FIELD, :FIELD], 1)


def _shares(length, scale):
    """The part of each source pixel that lies in each pixel of the box: [20, length]."""
    begin = np.arange(length) * scale
    to = np.arange(BOX)[:, np.newaxis]
    return np.clip(np.minimum(begin + scale, to + 1) - np.maximum(begin, to), 0, None)


def _distorted(image, rng):
    turn, slant = rng.normal(0, 0.15), rng.normal(0, 0.3)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ [[1, 0], [slant, 1]] @ np.diag([1, np.exp(rng.normal(-0.1, 0.25))])
    large = np.pad(_enlarged(image), 10)
    middle = (np.array(large.shape) - 1) / 2
    moved = ndimage.affine_transform(large, matrix, middle - matrix @ middle, order=1)
    return to_mnist(_inked(moved, rng.uniform(0.55, 0.85)))


def _enlarged(image):
    return ndimage.zoom(np.pad(image, 1), ENLARGE, mode="grid-constant", grid_mode=True)


def _inked(image, level):
    """Sharp lines out of the blur of enlarging; a higher level is a thinner pen."""
    inked = np.clip(3 * (image - level) + 0.5, 0, 1)
    return inked if inked.any() else image
