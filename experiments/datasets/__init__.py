"""Image classification sets by name: `load(name) -> Dataset`.

A set that needs no download is a file of this folder with a function `load() -> Dataset`. A name
`folder:PATH` is a folder of images. Every other name is looked up in TensorFlow Datasets: `mnist`,
`fashion_mnist`, `cifar10`, ...
"""

import dataclasses
import functools
import hashlib
import importlib
import pkgutil

import numpy as np

Examples = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and their classes.

    Attributes:
        x_train: Training images, float32 [n, height, width, channels]; pixels in [0, 1] when
            loaded.
        y_train: Their classes, int64 [n].
        x_test: Test images, likewise.
        y_test: Their classes.
        classes: The number of classes.
        name: The set's name.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    name: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.x_train.shape[1:]

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of all images and classes: other data has another one, whatever its name."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]


def names() -> list[str]:
    """Return the names of the sets that need no download.

    >>> names()
    ['digits']
    """
    modules = {module.name for module in pkgutil.iter_modules(__path__)}
    return sorted(modules - {"tfds_images", "folder_images"})


def load(
    name: str, data_dir: str | None = None, download: bool = False, limit: int | None = None
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: One of `names()`, `folder:PATH`, or the name of an image classification set in
            TensorFlow Datasets.
        data_dir: The folder of TensorFlow Datasets; its own default if `None`.
        download: Whether TensorFlow Datasets may fetch what is not in `data_dir`.
        limit: The largest number of images to take, of the training and of the test set.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If there is no such set, or it is not one of images of one size.
        FileNotFoundError: If its files are not in `data_dir` and `download` is false.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1, received {limit}.")
    if name in names():
        dataset = importlib.import_module(f"{__name__}.{name}").load()
    elif name.startswith("folder:"):
        folder_images = importlib.import_module(f"{__name__}.folder_images")
        dataset = folder_images.load(name.removeprefix("folder:"))
    elif name.startswith((".", "/", "~")):
        raise ValueError(f"No data set {name!r}: a folder of images is given as folder:{name}.")
    else:
        tfds_images = importlib.import_module(f"{__name__}.tfds_images")
        dataset = tfds_images.load(name, data_dir, download, limit)
    return dataclasses.replace(
        dataset,
        x_train=dataset.x_train[:limit],
        y_train=dataset.y_train[:limit],
        x_test=dataset.x_test[:limit],
        y_test=dataset.y_test[:limit],
    )


def split_validation(dataset: Dataset, count: int, seed: int) -> tuple[Dataset, Examples]:
    """Set training examples aside.

    Args:
        dataset: The data set to take them from.
        count: The number of examples.
        seed: Seed of the random choice.

    Returns:
        The data set without them, and the examples as `(x, y)`, ready to be a `validation_data`.

    Raises:
        ValueError: If `count` leaves no training example, or is not positive.
    """
    if not 0 < count < len(dataset.x_train):
        raise ValueError(
            f"`count` must be between 1 and {len(dataset.x_train) - 1}, for {dataset.name} has "
            f"{len(dataset.x_train)} training images; received {count}."
        )
    order = np.random.default_rng(seed).permutation(len(dataset.x_train))
    aside, left = order[:count], order[count:]
    rest = dataclasses.replace(
        dataset, x_train=dataset.x_train[left], y_train=dataset.y_train[left]
    )
    return rest, (dataset.x_train[aside], dataset.y_train[aside])


def standardize(dataset: Dataset) -> Dataset:
    """Shift and scale every channel to mean 0 and standard deviation 1 over the training images.

    A channel has one mean and one deviation, not each pixel: a pixel that is black in every
    training image has no deviation to divide by.
    """
    mean = dataset.x_train.mean((0, 1, 2), dtype=np.float64).astype(np.float32)
    deviation = dataset.x_train.std((0, 1, 2), dtype=np.float64).astype(np.float32)
    return dataclasses.replace(
        dataset,
        x_train=(dataset.x_train - mean) / deviation,
        x_test=(dataset.x_test - mean) / deviation,
    )
