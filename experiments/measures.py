"""What is measured of a trained network: numbers by name, an open list."""

import math
from collections.abc import Mapping
from typing import Any

_FRACTIONS = (
    "sparsity",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
    "early_stopping_accuracy",
)
_COUNTS = ("early_stopping_iteration", "iterations")
_SIZES = ("train_loss", "validation_loss", "test_loss", "seconds", "moved_alive", "moved_pruned")


def check(measures: Mapping[str, Any]) -> None:
    """Refuse what cannot be. A measure that is not known is left alone, and any may be missing.

    Raises:
        ValueError: A value is impossible; the message names it.

    >>> check({"test_accuracy": 0.98, "a new one": "anything"})
    >>> check({"test_accuracy": 98.2})
    Traceback (most recent call last):
    ...
    ValueError: `test_accuracy` must be a fraction, received 98.2.
    """
    if not isinstance(measures, Mapping):
        raise ValueError(f"measures must be an object of numbers by name, received {measures!r}.")
    for names, is_right, right in (
        (_FRACTIONS, lambda value: 0 <= value <= 1, "a fraction"),
        (_COUNTS, lambda value: value >= 0 and value == int(value), "a count"),
        (_SIZES, lambda value: value >= 0 or math.isnan(value), "a number of 0 or more"),
    ):
        for name in names:
            value = measures.get(name)
            if value is not None and not (_is_number(value) and is_right(value)):
                raise ValueError(f"`{name}` must be {right}, received {value!r}.")
    counts = measures.get("alive_counts", {})
    if not isinstance(counts, Mapping) or any(
        type(count) is not int or count < 0 for count in counts.values()
    ):
        raise ValueError(f"`alive_counts` must be counts by kernel, received {counts!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def generalisation_gap(measures: Mapping[str, Any]) -> float | None:
    """Train accuracy less test accuracy, a fraction; `None` if either is missing.

    >>> generalisation_gap({"train_accuracy": 1.0, "test_accuracy": 0.75})
    0.25
    """
    train, test = measures.get("train_accuracy"), measures.get("test_accuracy")
    return None if train is None or test is None else train - test
