"""Keeps a foreign model from taking all the memory of the machine: `bounded()`."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Lets this process take no more memory inside the block than is free when it begins.

    A larger request raises an error, before the machine stops some process for lack of memory.
    Where the operating system has no such limit, nothing is bounded.
    """
    try:
        import resource

        used = int(_words("/proc/self/statm")[0]) * os.sysconf("SC_PAGE_SIZE")
        free = 1024 * int(_words("/proc/meminfo", "MemAvailable:")[1])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = used + free if hard == resource.RLIM_INFINITY else min(used + free, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def is_lack(error: BaseException) -> bool:
    """Return whether an error says that memory was, or would be, lacking."""
    text = str(error)
    return isinstance(error, MemoryError) or any(
        sign in text for sign in ("OOM", "too many elements", "overflow", "RESOURCE_EXHAUSTED")
    )


def _words(path: str, name: str = "") -> list[str]:
    """The words of the first line of a file of the kernel's that begins with `name`."""
    with open(path, encoding="ascii") as lines:
        return next(line.split() for line in lines if line.startswith(name))
