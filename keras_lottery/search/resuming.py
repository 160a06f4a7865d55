"""Resumes a killed `fit` from the weights of `BackupAndRestore` and the masks of `Prune`."""

import json
import pathlib
import warnings
from collections.abc import Iterable
from typing import Any

import h5py
import keras

from keras_lottery.masks.lottery import Lottery
from keras_lottery.tickets import backup


def look_at(
    before: Iterable[keras.callbacks.Callback],
    after: Iterable[keras.callbacks.Callback],
    path: str | None,
    owner: str,
) -> keras.callbacks.BackupAndRestore | None:
    """Find `BackupAndRestore`, and refuse or warn of settings that it could not resume from.

    Args:
        before: The callbacks that come before the one that keeps the masks.
        after: The callbacks that come after it.
        path: The backup of the masks, or `None`.
        owner: The name of the callback that keeps the masks, for messages.

    Raises:
        ValueError: If one of its files is missing or cannot be read, or it saves in the midst of
            an epoch.
    """
    keepers = (
        one for one in (*before, *after) if isinstance(one, keras.callbacks.BackupAndRestore)
    )
    keeper = next(keepers, None)
    if keeper is None:
        return None
    _refuse_half_written(keeper)
    if path is not None:
        _refuse_unfit(keeper, owner)
        _warn_of_order(keeper, before, owner)
    return keeper


def take_up(
    path: str | None,
    lottery: Lottery,
    epoch: int,
    keeper: keras.callbacks.BackupAndRestore | None,
    continued: bool,
) -> int | None:
    """Give a `Lottery` the masks of an interrupted training, if this `fit` goes on from one.

    Args:
        path: The backup of the masks, or `None` if there is none.
        lottery: The `Lottery` of a model that has its weights already.
        epoch: The number of epochs that are trained.
        keeper: The `BackupAndRestore` that resumes the training, or `None`.
        continued: Whether the masks were on the model before this `fit`.

    Returns:
        The number of steps that are trained, or `None` if no training is resumed.

    Raises:
        ValueError: If the masks are not those of this epoch and these weights.
    """
    if path is None:
        return None
    if continued and backup.is_finished(path) and epoch:
        return None  # Those on the model are newer.
    last = backup.epoch_of(path)
    if epoch or last is None or not (keeper or backup.is_finished(path)):
        return backup.restore(path, lottery, epoch)
    # The weights and the masks both begin anew, and so nothing gets lost but time: not even that
    # if the former training came to its end, or to none.
    if last > 1 and keeper is not None and not backup.is_finished(path):
        warnings.warn(
            f"`backup`={path!r} holds masks of training up to epoch {last}, and there is nothing "
            f"in the folder {str(keeper.backup_dir)!r} of BackupAndRestore: training begins anew.",
            stacklevel=4,
        )
    backup.remove(path)
    return None


def refuse_lost_masks(epoch: int, place: str) -> None:
    """Raise a `ValueError`, since weights come back without the masks of an interrupted training.

    Args:
        epoch: The number of epochs that are trained.
        place: The same in the unit of the schedule, such as `"step 10"`.
    """
    raise ValueError(
        f"Training goes on from epoch {epoch}, where the schedule has pruned already, and the "
        "masks are lost. Give `backup` (a file name) to save them beside BackupAndRestore, or "
        f"a schedule that begins at {place}. The zeros in weights that were saved give the masks "
        "back: load them, and call `Lottery.from_zeros(model)` before `fit`."
    )


def _refuse_unfit(keeper: keras.callbacks.BackupAndRestore, owner: str) -> None:
    """Raise a `ValueError` if `BackupAndRestore` cannot go on where the masks do: it saves in the
    midst of an epoch."""
    if keeper.save_freq != "epoch":
        raise ValueError(
            f"BackupAndRestore(save_freq={keeper.save_freq!r}) saves weights in the midst of an "
            f"epoch, which Keras then begins anew, and `{owner}` keeps its masks at the end of "
            "one: write save_freq='epoch'."
        )


def _warn_of_order(keeper: keras.callbacks.BackupAndRestore, before: Any, owner: str) -> None:
    """Warn of a `BackupAndRestore` that comes before the callback which keeps the masks."""
    if any(one is keeper for one in before):
        warnings.warn(
            f"`{owner}` comes after BackupAndRestore in `callbacks`: killed between the two, "
            "training could not go on, as the weights would be one epoch ahead of the masks. Put "
            f"`{owner}` before it.",
            stacklevel=3,
        )


def _refuse_half_written(keeper: keras.callbacks.BackupAndRestore) -> None:
    """Raise a `ValueError` if one of its two files is missing or cannot be read.

    Keras reads them without a word: the weights without the epoch, as those of epoch 0; the epoch
    without the weights, with new ones.
    """
    weights, metadata = _files(keeper)
    anew = f"remove the folder {keeper.backup_dir!r} to begin anew"
    if weights.exists() != metadata.exists():
        there, missing = (weights, metadata) if weights.exists() else (metadata, weights)
        raise ValueError(
            f"BackupAndRestore was interrupted: {str(there)!r} is there and {missing.name} is not. "
            f"Training would go on with the wrong weights or at the wrong epoch: {anew}."
        )
    if not weights.exists():
        return
    older = weights.with_name(f"{weights.name}.bkp")
    error = _reading_error(weights)
    # Keras takes the older one by itself if it cannot open the newer.
    if error and not (isinstance(error, OSError) and keeper.double_checkpoint and older.exists()):
        cure = (
            f"move {str(older)!r} and training_metadata.json.bkp in their places to go on, or "
            if older.exists()
            else ""
        )
        raise ValueError(
            f"BackupAndRestore was interrupted while it wrote {str(weights)!r}, which cannot be "
            f"read: {cure}{anew}. With BackupAndRestore(double_checkpoint=True) it keeps the epoch "
            "before, too, and goes on from there."
        )
    try:
        int(json.loads(metadata.read_text())["epoch"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"BackupAndRestore was interrupted while it wrote {str(metadata)!r}, which cannot be "
            f'read. Write {{"epoch": N, "batch": 0}} into it, where N is the number of epochs '
            f"that are trained, or {anew}."
        ) from None


def _files(keeper: keras.callbacks.BackupAndRestore) -> tuple[pathlib.Path, pathlib.Path]:
    folder = pathlib.Path(keeper.backup_dir)
    return folder / "latest.weights.h5", folder / "training_metadata.json"


def _reading_error(weights: pathlib.Path) -> Exception | None:
    """Why a file cannot be read: one that was half written may open all the same."""
    try:
        with h5py.File(weights, "r") as file:
            file.visititems(_read)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return error
    return None


def _read(name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        item[()]
