"""`load(path) -> keras.Model` reads a model from a file, whoever made it."""

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from keras_lottery.commands import memory

if TYPE_CHECKING:
    import keras


def load(path: str | os.PathLike[str]) -> "keras.Model":
    """Read a model from its file, whoever made it.

    Raises:
        ValueError, OSError: There is no such file; or it holds no model, or a model of classes that
            Keras does not know, or one that needs more memory than there is.
    """
    import keras

    check_unpacked(path)
    try:
        with memory.bounded():
            return keras.saving.load_model(path)
    except (OSError, ValueError):
        raise
    except RecursionError as error:
        raise ValueError(f"{path} nests what it describes too deeply to be read.") from error
    except TypeError as error:
        # Behind the whole configuration comes what is missing.
        reason, *_ = str(error).rpartition("encountered: ")[2].split(". ")
        raise ValueError(
            f"{path} has a class that is not Keras's own: call tflite.export where it is defined. "
            f"{reason}."
        ) from error
    except Exception as error:  # Whatever TensorFlow makes of a shape that no memory holds.
        kind = type(error).__name__
        if memory.is_lack(error):
            raise ValueError(f"{path} needs more memory than there is: {kind}.") from error
        raise ValueError(f"{path} could not be read: {kind}: {str(error)[:200]}") from error


def check_unpacked(path: str | os.PathLike[str]) -> None:
    """Refuses a `.keras` file that unpacks to more than `most_unpacked` bytes, before it is read.

    Raises:
        ValueError: The file unpacks to more.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > (most := most_unpacked(Path(path).stat().st_size)):
        raise ValueError(f"{path} unpacks to {unpacked:,} bytes; at most {most:,} are read.")


def most_unpacked(size: int) -> int:
    """Return how many bytes a `.keras` file of `size` bytes may unpack to.

    The limit is a hundred times the size, which nothing but zeros needs, and at most four times the
    2 GiB of weights that a .tflite file holds: for the weights and an optimizer's three slots.

    >>> most_unpacked(1_000_000)
    167108864
    """
    return min(2**26 + 100 * size, 2**33)
