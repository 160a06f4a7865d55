"""`Store`: the folder in which pieces are kept.

A piece is a folder, written beside, synced and renamed, and never changed afterwards:

    piece.json       the definition, the parents, the data's name, the versions it was made with
    measures.json    numbers by name; which ones there are is open
    curve.csv        the validation loss and accuracy of every evaluation
    ticket           the masks and the values at the rewind point (`keras_lottery.Ticket`)
    trained          all variables at the end of the training, in the format of a ticket
    SHA256SUMS       a checksum of each of these; `sha256sum -c` reads it

Processes on one machine, or on machines that share the folder, may use it at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import keras_lottery as kl
from experiments import measures
from experiments.pieces import locks
from experiments.pieces.piece import Piece
from keras_lottery.tickets import file as ticket_file

FILES = ("piece.json", "measures.json", "curve.csv", "ticket", "trained")
_SUMS = "SHA256SUMS"


class PieceError(ValueError):
    """A piece is damaged, or is not what was asked for."""


@dataclasses.dataclass(frozen=True)
class StoredPiece:
    """A piece in the store, whose files are what was written.

    Args:
        name: Its name.
        folder: Its folder.
        description: What is in `piece.json`.
        measures: Numbers by name.
    """

    name: str
    folder: pathlib.Path
    description: Mapping[str, Any]
    measures: Mapping[str, Any]

    def ticket(self) -> kl.Ticket:
        """Its masks, and the values at the rewind point."""
        return kl.Ticket.load(self.folder / "ticket")

    def trained(self) -> tuple[dict, dict, dict]:
        """Masks, arrays and numbers at the end of the training; see `Bench.trained`."""
        return ticket_file.decode(ticket_file.memory_map(self.folder / "trained"))

    def digest(self) -> str:
        """The checksum of the trained weights, by which a child knows its parent."""
        return _sums(self.folder)["trained"]


class Store:
    """The pieces in a folder.

    Args:
        folder: The folder, which may not exist yet.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = pathlib.Path(folder)

    def names(self) -> set[str]:
        """The names of all pieces that are there."""
        try:
            return {name for name in os.listdir(self.folder) if not name.startswith(".")}
        except FileNotFoundError:
            return set()

    def __contains__(self, name: str) -> bool:
        return (self.folder / name).is_dir()

    def load(self, name: str) -> StoredPiece:
        """Read a piece, and verify all its files.

        Raises:
            PieceError: If it is not there or damaged; the message names the file.
        """
        folder = self.folder / name
        sums = _sums(folder)
        for file in FILES:
            try:
                with open(folder / file, "rb") as content:
                    digest = hashlib.file_digest(content, "sha256").hexdigest()
            except OSError as error:
                raise PieceError(f"{folder / file}: {error.strerror}.") from error
            if digest != sums.get(file):
                raise PieceError(f"{folder / file} is damaged: it has another checksum.")
        return self._parsed(folder)

    def look(self, name: str) -> StoredPiece:
        """Read a piece without verifying its weights, for tables.

        Raises:
            PieceError: As from `load`.
        """
        folder = self.folder / name
        sums = _sums(folder)
        for file in ("piece.json", "measures.json"):
            content = _read(folder / file)
            if hashlib.sha256(content).hexdigest() != sums.get(file):
                raise PieceError(f"{folder / file} is damaged: it has another checksum.")
        return self._parsed(folder)

    def _parsed(self, folder: pathlib.Path) -> StoredPiece:
        description = json.loads(_read(folder / "piece.json"))
        numbers = json.loads(_read(folder / "measures.json"))
        try:
            measures.check(numbers)
        except ValueError as error:
            raise PieceError(f"{folder / 'measures.json'}: {error}") from error
        return StoredPiece(folder.name, folder, description, numbers)

    def write(self, piece: Piece, files: Mapping[str, bytes]) -> None:
        """Keep a piece that was computed. If another process kept it before, its files stay.

        Args:
            piece: The piece.
            files: The content of all `FILES`.

        Raises:
            OSError: If the files cannot be written; then nothing of them is left.
        """
        sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in FILES)
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{piece.name}.{secrets.token_hex(4)}.tmp"
        try:
            beside.mkdir()
            for name, content in {**files, _SUMS: sums.encode()}.items():
                _write(beside / name, content)
            _sync(beside)
            with contextlib.suppress(FileExistsError):
                # A folder that is not empty is not replaced: what is there has the same content.
                try:
                    beside.rename(self.folder / piece.name)
                except OSError:
                    if piece.name not in self:
                        raise
            _sync(self.folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def set_aside(self, name: str) -> pathlib.Path:
        """Move a piece out of the way, so that it is computed again; return where it is now."""
        aside = self.folder / ".set_aside" / f"{name}.{secrets.token_hex(4)}"
        aside.parent.mkdir(exist_ok=True)
        (self.folder / name).rename(aside)
        return aside

    def checkpoint_folder(self, name: str) -> pathlib.Path:
        """The folder for checkpoints of a piece that is being computed."""
        return self.folder / f".{name}.checkpoint"

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """Lock a piece while it is computed; False if another process has it.

        Whoever gets the lock removes what a killed process left of a write.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locks.lock(self.folder / f".{name}.lock") as got:
            if got:
                for leftover in self.folder.glob(f".{name}.*.tmp"):
                    shutil.rmtree(leftover, ignore_errors=True)
            yield got

    def tidy(self) -> None:
        """Remove what is left beside a piece whose process was killed when it had kept it."""
        for path in self.folder.glob(".*.lock"):
            name = path.name[1:].removesuffix(".lock")
            if name in self:
                with self.lock(name) as mine:
                    if mine:
                        shutil.rmtree(self.checkpoint_folder(name), ignore_errors=True)

    def who_computes(self, name: str) -> str:
        """Say which process computes a piece."""
        return locks.owner(self.folder / f".{name}.lock")


def _sums(folder: pathlib.Path) -> dict[str, str]:
    lines = _read(folder / _SUMS).decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PieceError(f"{path}: {error.strerror}.") from error


def _write(path: pathlib.Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
