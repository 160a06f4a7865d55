"""Finds the steps at which callbacks want their batch hooks called, where a chunk ends."""

from collections.abc import Sequence
from typing import Any, TypeGuard

import keras

from keras_lottery.model import keras_internals

# By default the first two call the last two.
_BATCH_HOOKS = (
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_batch_begin",
    "on_batch_end",
)


def next_event(
    callbacks: Sequence[keras.callbacks.Callback], step: int, done: int, steps: int
) -> int | None:
    """Return the first step after `step` at which any callback is due.

    A callback of one's own says it by a method `next_event(step)`, which returns a later step or
    `None`. Keras' callbacks with an integer `save_freq` (`ModelCheckpoint`, `BackupAndRestore`) are
    due when they save, and `TensorBoard` when it writes, by its `update_freq`.

    Args:
        callbacks: The callbacks of a training.
        step: Number of steps since the beginning of epoch 0.
        done: The number of them that this training did, which may have begun later.
        steps: Number of steps in an epoch.

    Returns:
        A step, counted as `step` is, or `None` if no callback is due at a later step.

    Raises:
        ValueError: If a callback's own `next_event` returns no later step.

    Example:

    >>> checkpoint = keras.callbacks.ModelCheckpoint("{batch}.keras", save_freq=30)
    >>> next_event([checkpoint], step=205, done=5, steps=100)
    235
    """
    due: list[int] = []
    for callback in callbacks:
        if hasattr(callback, "next_event"):
            event = callback.next_event(step)
            if event is not None and event <= step:
                raise ValueError(
                    f"`next_event({step})` must return a later step or None: received {event}."
                )
            if event is not None:
                due.append(event)
        if _is_frequency(save_freq := getattr(callback, "save_freq", None)):
            # It counts batches by their numbers, and from the number of the one before: of an epoch
            # it has to see the first.
            seen = keras_internals.batches_since_saving(callback)
            due.append(step + (1 if step % steps == 0 else max(1, save_freq - seen)))
        if counts_batches(callback) and _is_frequency(callback.update_freq):
            every = callback.update_freq
            due.append(step + every - done % every)
    return min(due, default=None)


def unannounced(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Return the kinds of callbacks whose batch hooks may act at any step.

    They have a batch hook that is not Keras' own, and no `next_event` that says when it is due.
    Such a hook may set a learning rate for each step, which would be late in a chunk of several.

    Args:
        callbacks: The callbacks of a training.

    Returns:
        The names of their classes.

    Example:

    >>> unannounced([keras.callbacks.LambdaCallback(on_train_batch_begin=print)])
    ['LambdaCallback']
    >>> unannounced([keras.callbacks.LambdaCallback(on_epoch_end=print)])
    []
    """
    return [
        type(callback).__name__
        for callback in callbacks
        if not hasattr(callback, "next_event")
        and any(_is_of_ones_own(getattr(callback, hook)) for hook in _BATCH_HOOKS)
    ]


def counts_batches(callback: keras.callbacks.Callback) -> bool:
    """Return whether a callback counts the calls of `on_train_batch_begin` as steps.

    >>> counts_batches(keras.callbacks.TerminateOnNaN())
    False
    """
    return isinstance(callback, keras.callbacks.TensorBoard)


def _is_of_ones_own(hook: Any) -> bool:
    return not getattr(hook, "__module__", "").startswith("keras.")


def _is_frequency(value: Any) -> TypeGuard[int]:
    """Return whether it is a number of batches: not "epoch", nor `False`, which is never."""
    return isinstance(value, int) and value > 0
