"""`load(folder) -> Examples` reads labelled images of the user's from a folder."""

import os
import pathlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_FORM = (
    "it must hold x.npy and y.npy, arrays of examples and of their classes, or a folder for each "
    "class with its pictures (png, jpg, bmp) or arrays (npy) in it"
)


class Examples(NamedTuple):
    """Examples and their classes.

    Attributes:
        x: An array, its first axis the examples.
        y: Their classes, int64 [n].
    """

    x: np.ndarray
    y: np.ndarray


def load(folder: str | os.PathLike[str], limit: int | None = None) -> Any:
    """Loads examples to classify.

    Pictures become float32 with pixels in [0, 1] and keep their size and channels, which must be
    those of the model's input; arrays are taken as they are. Folders of classes are numbered in the
    order of their names, or as numbers if all names are numbers.

    Args:
        folder: A folder with `x.npy` and `y.npy`, or with a folder for each class.
        limit: The largest number of examples to take, spread evenly over all of them.

    Returns:
        The `Examples`.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder holds something else, or examples of different shapes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "x.npy").is_file() and (folder / "y.npy").is_file():
        x, y = _array(folder / "x.npy"), _array(folder / "y.npy")
    else:
        x, y = _by_class(folder)
    if len(x) != len(y) or y.ndim != 1 or y.dtype.kind not in "iu" or not len(y):
        raise ValueError(
            f"{folder} has {len(x)} examples and classes of shape {y.shape} and type {y.dtype}; "
            "there must be one integer for each example"
        )
    taken = np.linspace(0, len(y) - 1, min(len(y), limit or len(y))).round().astype(int)
    return Examples(x[taken], y[taken].astype(np.int64))


def _by_class(folder: pathlib.Path) -> Any:
    classes = [path for path in folder.iterdir() if path.is_dir()]
    numbers = all(path.name.isdecimal() for path in classes)
    classes.sort(key=lambda path: (int(path.name) if numbers else 0, path.name))
    examples = [
        (_example(file), number)
        for number, path in enumerate(classes)
        for file in sorted(path.iterdir())
        if file.suffix.lower() in (*_PICTURES, ".npy")
    ]
    if not examples:
        raise ValueError(f"{folder} has no examples; {_FORM}")
    shapes = sorted({example.shape for example, _ in examples})
    if len(shapes) > 1:
        raise ValueError(f"the examples in {folder} have different shapes, such as {shapes[:2]}")
    return np.stack([example for example, _ in examples]), np.array([n for _, n in examples])


def _example(file: pathlib.Path) -> Any:
    if file.suffix.lower() == ".npy":
        return _array(file)
    import tensorflow as tf

    try:
        picture = tf.io.decode_image(tf.io.read_file(str(file)), expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{file} is no picture that can be read") from error
    return picture.numpy().astype(np.float32) / 255


def _array(file: pathlib.Path) -> np.ndarray:
    try:
        # What is pickled could run any code.
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{file} is no array of numbers: {error}") from error
