"""A pytest plugin: `keras.Model.fit` is `keras_lottery.fit`, as long as pytest runs.

Calls with an argument that `keras_lottery.fit` does not have go to the original, and so do those
that `keras_lottery.fit` makes itself.
"""

import functools
import inspect

import keras

import keras_lottery as kl

_original = keras.Model.fit
_signature = inspect.signature(_original)
_LACKING = ("steps_per_epoch", "validation_steps")
_inside = []
# How often which way was taken: none of the tests would fail if nothing was replaced.
ways = {}


@functools.wraps(_original)
def fit(self, *arguments, **keywords):
    """As `keras.Model.fit`."""
    given = _signature.bind(self, *arguments, **keywords).arguments
    lacking = [name for name in _LACKING if given.get(name) is not None]
    if _inside or lacking or given.get("x") is None:
        if not _inside:
            ways["original"] = ways.get("original", 0) + 1
        return _original(self, *arguments, **keywords)
    own = {name: value for name, value in given.items() if name not in ("self", *_LACKING)}
    _inside.append(self)
    try:
        history = kl.fit(self, **own)
    finally:
        _inside.pop()
    way = history.params["fused"]
    ways[way] = ways.get(way, 0) + 1
    return history


def pytest_configure(config):
    keras.Model.fit = fit


def pytest_unconfigure(config):
    keras.Model.fit = _original


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"keras_lottery.fit trained by {ways}")
