"""Lottery tickets for Keras 3: prune, rewind, and ship sparse TFLite files.

The public names are those of `keras_lottery.api`. They are loaded when the first is asked for,
and Keras and its backend with them. That takes seconds, and the command line answers `--help`
without it.
"""

import importlib
from importlib import util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_lottery.api import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Loads a folder of the package, or else the public names, all at once, and returns one."""
    if not name.startswith("__") or name == "__all__":
        # A folder alone: a module that the public names stand on asks for one while they load.
        if util.find_spec(f"{__name__}.{name}"):
            return importlib.import_module(f"{__name__}.{name}")
        api = importlib.import_module("keras_lottery.api")
        globals().update({each: getattr(api, each) for each in ("__all__", *api.__all__)})
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module 'keras_lottery' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(["__doc__", "__version__", *__getattr__("__all__")])
