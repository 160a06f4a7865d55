"""Locks between processes: the system lets go of one when its process ends, however it ends."""

import contextlib
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def lock(path: pathlib.Path) -> Iterator[bool]:
    """Hold a lock, if no other process holds it.

    Args:
        path: The lock's file, which is there as long as somebody holds the lock or was killed.

    Yields:
        Whether the lock is held.
    """
    file = _locked(path)
    if file is None:
        yield False
        return
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield True
    finally:
        # Before the lock is let go: whoever opened the file meanwhile sees that it is gone.
        path.unlink(missing_ok=True)
        os.close(file)


def owner(path: pathlib.Path) -> str:
    """Who holds a lock, in words."""
    try:
        return path.read_text() or "another process"
    except OSError:
        return "another process"


def _locked(path: pathlib.Path) -> int | None:
    """The handle of the locked file, or `None` if another process has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        # The last owner may have removed the file after it was opened here.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(file)):
                return file
        os.close(file)
