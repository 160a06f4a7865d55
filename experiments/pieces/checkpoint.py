"""`Checkpoint`: a training on the way, in two generations, so that a killed one goes on."""

import pathlib
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_lottery.tickets import file as ticket_file
from keras_lottery.tickets.file import TicketError


class Checkpoint:
    """The checkpoints of one piece.

    Args:
        folder: Their folder, which need not exist.
        every: The number of seconds between two of them.
    """

    def __init__(self, folder: pathlib.Path, every: float):
        self._folder = folder
        self._every = every
        self._last = time.monotonic()

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]] | None:
        """Return masks, arrays and numbers of the newest one that is whole, or `None`."""
        found = []
        for path in self._files():
            try:
                found.append(ticket_file.decode(ticket_file.memory_map(path)))
            except TicketError:
                continue  # Half written by a machine that went down: the other one is whole.
        return max(found, key=lambda one: one[2]["epoch"], default=None)

    def write_if_due(
        self,
        make: Callable[[], tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray], dict]],
    ) -> None:
        """Write one, if the last one is old enough.

        Args:
            make: Makes masks, arrays and numbers, `epoch` among these.
        """
        if time.monotonic() - self._last < self._every:
            return
        masks, arrays, numbers = make()
        self._folder.mkdir(exist_ok=True)
        older = min(self._files(), key=lambda path: path.stat().st_mtime_ns if path.exists() else 0)
        ticket_file.write(older, ticket_file.encode(masks, arrays, numbers))
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove all, when the piece is kept."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> tuple[pathlib.Path, pathlib.Path]:
        return self._folder / "one", self._folder / "other"
