"""Handwritten digits that come with scikit-learn: 1,797 images of 8x8 pixels, no download."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from experiments.datasets import Dataset

TEST_IMAGES = 360
BRIGHTEST = 16


def load() -> Dataset:
    """The 1,797 images, always split alike: 1,437 to train and 360 to test, of each class a fifth.

    Returns:
        A `Dataset` of images of shape (8, 8, 1) in 10 classes.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998.
    """
    digits = load_digits()
    images = (digits.images[..., np.newaxis] / BRIGHTEST).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images,
        digits.target.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=digits.target,
        random_state=0,
    )
    return Dataset(x_train, y_train, x_test, y_test, classes=10, name="digits")
