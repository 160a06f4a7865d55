"""Finds the other callbacks of a `fit` with `Prune`, and those that would mislead."""

import sys
from collections.abc import Collection, Iterable
from types import FrameType

import keras

from keras_lottery.search.outlook import Outlook

# They write down, or show, all that is in the logs; `History` is where `fit` returns them.
_LOGGERS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.History,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)


def around(
    callback: keras.callbacks.Callback,
) -> tuple[list[keras.callbacks.Callback], list[keras.callbacks.Callback]]:
    """Find the callbacks that Keras calls before a callback, and those that it calls after it.

    Call it from one of the callback's own hooks: it finds the list that calls the hook on the call
    stack, since nothing else leads to that list.

    Args:
        callback: The callback that asks.

    Returns:
        Two lists, which are empty if something else calls the hook, such as a loop of one's own.
    """
    frame: FrameType | None = sys._getframe()
    outermost: list[keras.callbacks.Callback] = []
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.callbacks.CallbackList):
            flat = _flat(owner)
            # A list may be in another one.
            outermost = flat if any(one is callback for one in flat) else outermost
        frame = frame.f_back
    place = next((i for i, one in enumerate(outermost) if one is callback), 0)
    return outermost[:place], outermost[place + 1 :]


def _flat(callbacks: keras.callbacks.CallbackList) -> list[keras.callbacks.Callback]:
    flat = []
    for one in callbacks.callbacks:
        flat += _flat(one) if isinstance(one, keras.callbacks.CallbackList) else [one]
    return flat


def deaf(before: Iterable[keras.callbacks.Callback], keys: Collection[str]) -> str | None:
    """Return a warning of callbacks before `Prune`, which do not see what it logs, or `None`.

    Args:
        before: The callbacks that come before `Prune`.
        keys: The names of the values that it logs.
    """
    names = [
        type(one).__name__
        for one in before
        if isinstance(one, _LOGGERS)
        or "logger" in type(one).__name__.lower()
        or getattr(one, "monitor", None) in keys
    ]
    if not names:
        return None
    return (
        f"`Prune` comes after {' and '.join(names)} in `callbacks`, which will not see "
        f"{' and '.join(f'`{key}`' for key in keys)} in the logs: put `Prune` before."
    )


def refuse_early_choice(
    callbacks: Iterable[keras.callbacks.Callback], outlook: Outlook
) -> str | None:
    """Look for callbacks that may choose an epoch before the last pruning, which is denser.

    Args:
        callbacks: The other callbacks of the `fit`.
        outlook: The outlook, which knows when `Prune` prunes.

    Returns:
        A warning of callbacks that only save such an epoch, or `None`.

    Raises:
        ValueError: If a callback would put the weights of such an epoch into the model.
    """
    epoch = outlook.last_pruning()
    if epoch is None or epoch <= outlook.first_epoch:
        return None
    restored = [
        f"{type(one).__name__}(restore_best_weights=True) may put back an epoch from before the "
        f"last pruning (epoch {epoch}), which is denser: write `start_from_epoch={epoch}`"
        + ("." if epoch < outlook.epochs else f", and train on after it: `epochs={epoch + 1}`.")
        for one in callbacks
        if getattr(one, "restore_best_weights", False) and one.start_from_epoch < epoch
    ]
    # With a rewind it takes an epoch more until the first `fit` has pruned for the last time.
    first = epoch + outlook.rewinds
    saved = [
        f"{type(one).__name__}(save_best_only=True) may keep an epoch from before the last pruning "
        f"(epoch {epoch}), which is denser. It has no `start_from_epoch={epoch}`, so let it begin "
        f"with a second fit: fit(epochs={first}, callbacks=[prune]), then "
        f"fit(initial_epoch={first}, epochs={max(outlook.epochs, first + 1)}, "
        "callbacks=[prune, checkpoint]). `strip(model, at_least=...)` refuses a denser model."
        for one in callbacks
        if getattr(one, "save_best_only", False)
    ]
    if restored:
        raise ValueError(" ".join(restored + saved))
    return " ".join(saved) or None


def add_to_history(
    callbacks: Iterable[keras.callbacks.Callback], key: str, values: Iterable[float]
) -> None:
    """Add values of this `fit`, one for each epoch, to the history that it returns."""
    for one in callbacks:
        if isinstance(one, keras.callbacks.History):
            one.history.setdefault(key, []).extend(values)
