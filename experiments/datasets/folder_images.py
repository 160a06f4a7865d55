"""Images of the user's own: a folder with a subfolder of pictures for each class."""

import numpy as np
from sklearn.model_selection import train_test_split

from experiments import datasets
from keras_lottery.commands import images

TEST_FRACTION = 0.2


def load(folder: str) -> datasets.Dataset:
    """Read all images, always split alike: of each class a fifth is for the test.

    Args:
        folder: The folder; see `keras_lottery.commands.images.load`.

    Returns:
        A `Dataset`.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds something else, or pictures of different sizes, or fewer than five
            of a class.
    """
    examples = images.load(folder)
    counts = np.bincount(examples.y)
    if examples.x.ndim != 4 or counts.min() < 5 or len(counts) < 2:
        raise ValueError(
            f"{folder} has examples of shape {examples.x.shape[1:]} in classes of "
            f"{counts.tolist()}; there must be two classes or more, of five pictures or more each."
        )
    x_train, x_test, y_train, y_test = train_test_split(
        examples.x.astype(np.float32),
        examples.y,
        test_size=TEST_FRACTION,
        stratify=examples.y,
        random_state=0,
    )
    return datasets.Dataset(x_train, y_train, x_test, y_test, len(counts), f"folder:{folder}")
