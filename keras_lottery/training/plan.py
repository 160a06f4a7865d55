"""How long a training goes on and what happens around its steps, whichever way these are done."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Plan:
    """What fused steps and `model.fit` are told alike. The arguments are those of `fit`.

    Args:
        epochs: Epoch to stop before.
        initial_epoch: Epoch to start with.
        verbose: How much is shown.
        callbacks: The callbacks, in their order.
        validation_data: What to validate on, or `None`.
        validation_batch_size: Samples in a batch of validation, or `None`.
        validation_freq: After how many epochs to validate, or after which (from 1).
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
