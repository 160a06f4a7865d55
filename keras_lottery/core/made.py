"""Records that hold functions, and still print, compare, pickle and become JSON.

A schedule or a granularity computes with functions, which no file can hold. But the call that made
it can be written down: `polynomial(0.9, begin=1, end=8)`. A function that is marked with `maker`
stores its call in the record that it returns.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from keras_lottery.core import lookup

FUNCTION = "function"  # what stands in JSON for a function that has no name here


class Made:
    """A record of a `maker`: it equals the record of the same call, and prints as that call."""

    _maker: Callable[..., Any] | None = None
    _arguments: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        """The call that makes it."""
        if self._maker is None:
            return object.__repr__(self)
        parameters = inspect.signature(self._maker).parameters
        needed = [p.name for p in parameters.values() if p.default is p.empty]
        by_position = needed if len(needed) == len(parameters) else needed[:1]
        texts = [
            f"{value!r}" if name in by_position else f"{name}={value!r}"
            for name, value in self._arguments.items()
            if name in needed or value != parameters[name].default
        ]
        return f"{self._maker.__name__}({', '.join(texts)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Made) or self._maker is None or other._maker is None:
            return self is other
        return (self._maker, dict(self._arguments)) == (other._maker, dict(other._arguments))

    def __hash__(self) -> int:
        if self._maker is None:
            return object.__hash__(self)
        return hash((self._maker.__name__, tuple(self._arguments.items())))

    def __reduce__(self) -> str | tuple[Any, ...]:
        if self._maker is None:
            return super().__reduce__()
        return _made_again, (self._maker.__module__, self._maker.__name__, dict(self._arguments))

    def to_json(self) -> dict[str, Any]:
        """The call as JSON: `{"polynomial": {"final": 0.9, ...}}`.

        Raises:
            ValueError: No function of this package made it.
        """
        if self._maker is None:
            raise ValueError(
                f"{self!r} was made by hand and cannot be written down; use a function of "
                "keras_lottery that makes one."
            )
        return {self._maker.__name__: dict(self._arguments)}


M = TypeVar("M", bound=Made)
P = ParamSpec("P")


def maker(function: Callable[P, M]) -> Callable[P, M]:
    """Marks a function that makes a record, so that the record knows the call.

    Example:
        >>> from keras_lottery.core import granularity
        >>> granularity.n_of_m(2, 4), granularity.n_of_m(2, 4) == granularity.n_of_m(n=2, m=4)
        (n_of_m(2, 4), True)
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> M:
        made = function(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        # Frozen records take no other assignment.
        object.__setattr__(made, "_maker", make)
        object.__setattr__(
            made, "_arguments", {name: _plain(value) for name, value in given.arguments.items()}
        )
        return made

    return make


def to_json(value: Any) -> Any:
    """Turns an argument into JSON: a record becomes its call, a function its name.

    Args:
        value: A number, a text, `None`, a record, a function, or a dict or list of these. Anything
            else becomes its text.

    >>> from keras_lottery.core import schedules
    >>> to_json({"schedule": schedules.constant(0.5), "own": len})
    {'schedule': {'constant': {'sparsity': 0.5, 'begin': 0}}, 'own': {'function': 'len'}}
    """
    if isinstance(value, Made) and value._maker is not None:
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: to_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    if callable(value):
        return {FUNCTION: lookup.name_of(value)}
    value = _plain(value)
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def from_json(module: ModuleType, call: Mapping[str, Any]) -> Any:
    """Makes a record from what `Made.to_json` wrote.

    Args:
        module: Where its maker is defined, such as `keras_lottery.core.granularity`.
        call: The maker's name, and the arguments by name.

    Raises:
        ValueError: There is no such maker, or it takes other arguments.

    Example:
        >>> from keras_lottery.core import granularity
        >>> from_json(granularity, {"blocks": {"width": 4}})
        blocks(4)
    """
    if not isinstance(call, Mapping) or len(call) != 1:
        raise ValueError(f"{call!r} is no record: it must be one name with its arguments.")
    [(name, arguments)] = call.items()
    make = lookup.get(module, str(name))
    try:
        return make(**arguments)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made of {arguments!r}: {error}.") from error


def _plain(value: Any) -> Any:
    """A number of NumPy as Python's own."""
    return value.item() if hasattr(value, "item") else value


def _made_again(module: str, name: str, arguments: Mapping[str, Any]) -> Any:
    return getattr(importlib.import_module(module), name)(**arguments)
