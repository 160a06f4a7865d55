"""`LayerLog` writes the sparsity and threshold of every kernel for TensorBoard."""

import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from keras_lottery import scorers
from keras_lottery.core.kernel import Kernel
from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery


class LayerLog:
    """Writes a run named `pruning` into the folder of a `TensorBoard` callback.

    It has `sparsity/<kernel>` and `threshold/<kernel>`, the lowest |score| of a live weight; its
    steps are epochs.

    Args:
        callbacks: The callbacks of a `fit`. Without a `TensorBoard` among them nothing is written.
    """

    def __init__(self, callbacks: Iterable[keras.callbacks.Callback]):
        boards = [one for one in callbacks if isinstance(one, keras.callbacks.TensorBoard)]
        self._summary: Any = boards[0].summary if boards else None
        # Another file in TensorBoard's own run would hide what it writes later.
        self._writers = [
            board.summary.create_file_writer(str(pathlib.Path(board.log_dir, "pruning")))
            for board in boards
        ]

    def write(self, lottery: Lottery, recipe: Recipe, epoch: int) -> None:
        """Write the values after an epoch.

        Args:
            lottery: The masks and kernels.
            recipe: The recipe that ranks the weights. Kernels that a scorer ranks have no
                threshold, since measuring the model takes data and time.
            epoch: The number of the epoch.
        """
        if not self._writers:
            return
        criteria = {
            name: scorers.resolve(one.criterion)
            for name, one in recipe.of_kernels(lottery.names).items()
        }
        unmeasured = [name for name, one in criteria.items() if not scorers.is_scorer(one)]
        alive = {
            record.name: _alive(criteria[record.name], record)
            for record in lottery.records("log", unmeasured)
        }
        thresholds = {name: scores.min() for name, scores in alive.items() if scores.size}
        groups = {"sparsity": lottery.sparsities, "threshold": thresholds}
        for writer in self._writers:
            with writer.as_default():
                for group, values in groups.items():
                    for name, value in values.items():
                        self._summary.scalar(f"{group}/{name}", value, step=epoch)
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers:
            writer.close()


def _alive(criterion: Callable, kernel: Kernel) -> np.ndarray:
    """The magnitudes of the scores of live weights."""
    return np.abs(np.asarray(criterion(kernel))[kernel.mask])
