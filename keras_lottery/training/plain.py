"""Trains by ordinary `model.fit`, over the batches of the fused path in the same order."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.training import data, memory
from keras_lottery.training.data import Samples
from keras_lottery.training.plan import Plan
from keras_lottery.training.source import Source


class Batches(keras.utils.PyDataset):
    """The batches of an epoch, read from arrays in memory.

    Give `fit` also `epoch_setter()` as a callback: only a callback knows which epoch
    begins, since BackupAndRestore may have chosen it.

    Args:
        samples: The training data; not a single array, which Keras takes from no `PyDataset`.
    """

    def __init__(self, samples: Samples):
        super().__init__()
        self.samples = samples
        self.order = samples.order(0)
        # Not all by `convert_to_numpy`: it copies arrays, and they may be too large for that.
        self.arrays = keras.tree.map_structure(
            lambda a: a if isinstance(a, np.ndarray) else keras.ops.convert_to_numpy(a),
            samples.arrays,
        )

    def __len__(self) -> int:
        return self.samples.steps

    def __getitem__(self, step: int) -> Any:
        size = self.samples.batch_size
        indices = self.order[step * size : (step + 1) * size]
        return keras.tree.map_structure(
            lambda array: array[indices].astype(memory.dtype_of(array), copy=False),
            self.arrays,
        )

    def epoch_setter(self) -> keras.callbacks.Callback:
        """Make a callback that sets the order of the batches for the epoch that begins."""

        def on_epoch_begin(epoch: int, logs: Mapping[str, float]) -> None:
            self.order = self.samples.order(epoch)

        return keras.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin)


def train(model: keras.Model, source: Source, plan: Plan, shuffle: bool) -> keras.callbacks.History:
    """Train a model by its `fit`.

    Args:
        model: A compiled model. One with a `fit` of its own is given the data as it is.
        source: The training data.
        plan: The length of the training, and what happens around the steps.
        shuffle: Whether arrays are shuffled.

    Raises:
        TypeError: If a `fit` of the model's own returns no history.
    """
    data_arguments = {
        "y": source.y,
        "batch_size": source.batch_size,
        "shuffle": shuffle,
        "class_weight": source.class_weight,
        "sample_weight": source.sample_weight,
    }
    x, callbacks = source.x, plan.callbacks
    validation_batch_size = plan.validation_batch_size
    if type(model).fit is keras.Model.fit:
        if source.samples and keras.tree.is_nested(source.samples.arrays):
            x = Batches(source.samples)
            callbacks = [x.epoch_setter(), *callbacks]
            data_arguments = {"shuffle": False}
            # Keras takes it from `batch_size`, which a `PyDataset` does not have.
            validation_batch_size = validation_batch_size or source.batch_size
        elif not data.have_shapes(x):
            # It comes in batches, and Keras warns where it cannot shuffle them.
            data_arguments["batch_size"] = None
            data_arguments["shuffle"] = shuffle and isinstance(x, keras.utils.PyDataset)
    arguments = {
        **data_arguments,
        "epochs": plan.epochs,
        "verbose": plan.verbose,
        "callbacks": callbacks or None,
        "validation_data": plan.validation_data,
        "initial_epoch": plan.initial_epoch,
        "validation_batch_size": validation_batch_size,
        "validation_freq": plan.validation_freq,
    }
    return _model_fit(model, x, arguments)


def _model_fit(model: keras.Model, x: Any, arguments: Mapping[str, Any]) -> keras.callbacks.History:
    """The history of `model.fit`; a model's own `fit` may know fewer arguments than Keras'."""
    known = inspect.signature(keras.Model.fit).parameters
    given = {name: arg for name, arg in arguments.items() if arg is not known[name].default}
    targets = [given.pop("y")] if "y" in given else []
    history = model.fit(x, *targets, **given)
    if not isinstance(history, keras.callbacks.History):
        raise TypeError(
            f"`{type(model).__name__}.fit` must return a keras.callbacks.History, as "
            f"keras.Model.fit does: received {history!r}."
        )
    return history
