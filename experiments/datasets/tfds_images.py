"""Image classification sets of TensorFlow Datasets (TFDS), by their name there."""

import difflib

import numpy as np

from experiments import datasets
from keras_lottery.commands.quiet import import_tensorflow

BRIGHTEST = 255


def load(
    name: str, data_dir: str | None = None, download: bool = False, limit: int | None = None
) -> datasets.Dataset:
    """Read a set's training and test images; see `experiments.datasets.load`.

    The test images are those of the split called "test", or else of "validation".
    """
    import_tensorflow()
    import tensorflow_datasets as tfds  # It imports TensorFlow: seconds that digits can save.

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        close = difflib.get_close_matches(name, tfds.list_builders()) or ["mnist", "cifar10"]
        raise ValueError(
            f"No data set {name!r}: there are {', '.join(datasets.names())} without a download, "
            f"and those of TensorFlow Datasets, such as {', '.join(close)}."
        ) from error
    _check_images(builder)
    if not builder.is_prepared():
        if not download:
            raise FileNotFoundError(
                f"{name} is not in {builder.data_path}: pass the folder that holds "
                f"{name}/{builder.version} as --data_dir, or --download to fetch it."
            )
        builder.download_and_prepare()
    test = "test" if "test" in builder.info.splits else "validation"
    if not {"train", test} <= builder.info.splits.keys():
        raise ValueError(
            f"{name} has the splits {', '.join(builder.info.splits)}; "
            "needed are train, and test or validation."
        )
    x_train, y_train = _examples(builder, "train", limit)
    x_test, y_test = _examples(builder, test, limit)
    classes = builder.info.features["label"].num_classes
    return datasets.Dataset(x_train, y_train, x_test, y_test, classes, name)


def _check_images(builder) -> None:
    features = builder.info.features
    shape = features["image"].shape if builder.info.supervised_keys == ("image", "label") else ()
    if len(shape) != 3 or None in shape:
        raise ValueError(
            f"{builder.name} is not a set of images of one size and their classes: "
            f"TensorFlow Datasets describes it as {features}."
        )


def _examples(builder, split: str, limit: int | None) -> datasets.Examples:
    if limit is not None:
        split = f"{split}[:{limit}]"
    images, labels = builder.as_dataset(split=split, batch_size=-1, as_supervised=True)
    return images.numpy().astype(np.float32) / BRIGHTEST, labels.numpy()
