"""Files are written whole or not at all: `write(path, data)`; `check(path)` asks beforehand.

The bytes go to a temporary file in the same folder, are synced to the disk, and take the final name
in one step: a reader, or a power cut, meets the old file or the new one. Nobody writes into a file
that is memory-mapped: its reader keeps the old content.

A process that is killed while it writes leaves its temporary file behind. Every writer locks its
temporary file, and the system releases the lock when the process ends: the next writer of the same
file removes the temporary files that nobody locks.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, wholly or not at all.

    An existing file is replaced and keeps its mode; a symbolic link stays, and the file that it
    points to is replaced.

    Args:
        path: The file.
        data: Its content.

    Raises:
        OSError: If the file cannot be written, or `path` is something else than a regular file. An
            existing file then stays as it was.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "a"), b"whole")
    ...     Path(folder, "a").read_bytes()
    b'whole'
    """
    path = _resolved(path)
    mode = _mode_of(path)
    _remove_leftovers(path)
    temporary, file = _created_and_locked(path)
    try:
        with file:
            if mode is not None:
                os.chmod(temporary, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def check(path: str | os.PathLike[str]) -> None:
    """Raise now the error that `write` would raise later.

    Args:
        path: The file. It stays as it is.

    Raises:
        OSError: If the file cannot be written, or `path` is something else than a regular file.
    """
    path = _resolved(path)
    _mode_of(path)
    temporary, file = _created_and_locked(path)
    file.close()
    temporary.unlink()


def _resolved(path: str | os.PathLike[str]) -> Path:
    """The file that a path means, where symbolic links have been followed."""
    resolved = Path(os.path.realpath(path))
    if resolved.is_symlink():  # only a circle of links is left as one
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return resolved


def _mode_of(path: Path) -> int | None:
    """The permissions of an existing file, or `None`."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return stat.S_IMODE(found.st_mode)


def _created_and_locked(path: Path) -> tuple[Path, BinaryIO]:
    """A new temporary file beside `path`, of which other writers see that it is in use."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            file = temporary.open("xb")
        except OSError as error:  # named after the file that the caller knows
            raise type(error)(error.errno, error.strerror, str(path)) from None
        if fcntl is None:
            return temporary, file
        # Where a file system knows no locks, nobody can lock a leftover either, and all are kept.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        # Another writer may have taken it for a leftover before it was locked.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(temporary), os.fstat(file.fileno())):
                return temporary, file
        file.close()


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files for `path` whose writers are gone."""
    if fcntl is None:
        return
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    with contextlib.suppress(OSError):
        for name in filter(pattern.fullmatch, os.listdir(path.parent)):
            leftover = path.with_name(name)
            # The lock is refused where its writer still lives.
            with contextlib.suppress(OSError), leftover.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    # The new name is safe on disk only when the folder is; Windows cannot open one, nor needs to.
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
