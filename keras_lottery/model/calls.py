"""What layers do when they are called, replaced for a while."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras


@contextlib.contextmanager
def replaced(
    layers: Iterable[keras.Layer], make: Callable[[keras.Layer, Callable[..., Any]], Any]
) -> Iterator[None]:
    """Give layers another `call` while the context lasts; nothing of them is left changed.

    Args:
        layers: The layers.
        make: A function from a layer and its `call` to the function that stands in for it.

    Example:

    >>> layer, seen = keras.layers.ReLU(), []
    >>> def noting(layer, call):
    ...     return lambda x: seen.append(x) or call(x)
    >>> with replaced([layer], noting):
    ...     _ = layer(keras.ops.ones(2))
    >>> len(seen)
    1
    """
    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(attribute(layer, "call", make(layer, layer.call)))
        yield


@contextlib.contextmanager
def attribute(layer: keras.Layer, name: str, value: Any) -> Iterator[None]:
    """Give a layer another attribute while the context lasts, unseen by what Keras tracks."""
    own = vars(layer).get(name)
    had = name in vars(layer)
    object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        if had:
            object.__setattr__(layer, name, own)
        else:
            object.__delattr__(layer, name)
