"""The versions that a piece was made with: weights go on bit for bit only with the same ones."""

import functools
import pathlib
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata

# What decides the bits of a training; this package's own version and commit are for the record.
_PACKAGES = ("keras", "numpy")
_BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
_FEATURES = ("avx", "avx2", "avx512f", "avx512_bf16", "avx_vnni", "amx_tile", "fma", "asimd")
FOR_THE_RECORD = ("keras_lottery", "commit")


@functools.cache
def here(backend: str) -> dict[str, str]:
    """The versions of this process.

    Args:
        backend: The Keras backend.
    """
    packages = (*_PACKAGES, _BACKENDS[backend], "keras_lottery")
    return {
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
        "processor": _processor(),
        "commit": _commit(),
    }


def differences(made_with: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What decides the bits of a training and is different, each as a clause.

    >>> differences({"keras": "3.14.0"}, {"keras": "3.15.1"})
    ['keras 3.14.0 (now 3.15.1)']
    """
    return [
        f"{name} {version} (now {now.get(name)})"
        for name, version in made_with.items()
        if name not in FOR_THE_RECORD and now.get(name) != version
    ]


def _processor() -> str:
    """The machine's kind, and those features of its processor that kernels are chosen by."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features"))).split()
    except (OSError, StopIteration):
        flags = []
    return " ".join([platform.machine(), *(feature for feature in _FEATURES if feature in flags)])


def _commit() -> str:
    """The commit of the repository that this file is in, or an empty text."""
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
