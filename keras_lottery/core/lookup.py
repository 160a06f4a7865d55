"""Finds functions by name: a module is the registry of the functions it defines."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any


def names(module: ModuleType) -> list[str]:
    """Lists the public functions that `module` itself defines, in alphabetical order.

    What the module imports is not listed. So in a module that is looked up by name every
    public function has the same signature, and adding one needs no other line anywhere.

    Example:
        >>> from keras_lottery.core import scopes
        >>> "globally" in names(scopes)
        True
    """
    return sorted(
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    )


def get(module: ModuleType, identifier: str | Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function that `identifier` stands for.

    Args:
        module: Where to look, such as `keras_lottery.core.criteria`.
        identifier: The bare name of one of its functions, or any function, which is returned
            as it is.

    Raises:
        ValueError: There is no such function; the message lists those there are.

    Example:
        >>> from keras_lottery.core import scopes
        >>> get(scopes, "globally") is scopes.globally
        True
    """
    if callable(identifier):
        return identifier
    found = names(module)
    if identifier not in found:
        raise ValueError(
            f"No {identifier!r} in {module.__name__.rpartition('.')[2]}; "
            f"pass a function or one of {', '.join(found)}."
        )
    function: Callable[..., Any] = getattr(module, identifier)
    return function


def name_of(function: str | Callable[..., Any]) -> str:
    """Returns the name of a function, for a message or a record.

    Args:
        function: Any callable, or its name already. A callable without a name, such as a
            `functools.partial`, is named as Python prints it.

    Example:
        >>> name_of(len)
        'len'
    """
    if isinstance(function, str):
        return function
    return getattr(function, "__name__", repr(function))
