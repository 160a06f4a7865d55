"""`Plan`: how long a training goes on, and what happens around its steps."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Plan:
    """The arguments of `fit` that are the same for fused steps and for `model.fit`.

    Args:
        epochs: The epoch to stop before.
        initial_epoch: The epoch to start with.
        verbose: How much to print.
        callbacks: The callbacks, in their order.
        validation_data: The data to validate on, or `None`.
        validation_batch_size: Samples in a batch of validation, or `None`.
        validation_freq: The number of epochs between validations, or a list of epochs (from 1).
        chunk: Largest number of fused steps between two calls of the batch hooks, or `None`.
    """

    epochs: int
    initial_epoch: int
    verbose: str | int
    callbacks: list[keras.callbacks.Callback]
    validation_data: Any
    validation_batch_size: int | None
    validation_freq: int | Collection[int]
    chunk: int | None
