"""Does epochs, callbacks and validation around chunks of steps, on any backend."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_lottery.model import keras_internals
from keras_lottery.training import events


def train(
    model: keras.Model,
    start_epoch: Callable,
    *,
    steps: int,
    epochs: int,
    initial_epoch: int,
    chunk: int,
    callbacks: keras.callbacks.CallbackList,
    validate: Callable[[int], Mapping],
) -> None:
    """Trains in chunks and calls the callbacks as `fit` does with `steps_per_execution`.

    A chunk ends after `chunk` steps, at the end of an epoch, and where a callback is due (see
    `events.next_event`). A callback's own `next_event(step)` gets the number of steps since the
    beginning of epoch 0, and returns the later number at which it wants its batch hooks called, or
    `None`.

    Args:
        model: A compiled model.
        start_epoch: A function `epoch -> run`; `run(first, last)` does the steps from `first` up
            to, not including, `last` of that epoch, and returns the logs of the last step.
        steps: Number of steps in an epoch.
        epochs: The epoch to stop before.
        initial_epoch: Epoch to start with.
        chunk: Largest number of steps in a chunk.
        callbacks: The callbacks to call.
        validate: A function `epoch -> logs`, which are added to the epoch's logs.
    """
    logs = {}
    done = 0
    model.stop_training = False
    callbacks.on_train_begin()
    initial_epoch = keras_internals.resumed_at(model) or initial_epoch
    for epoch in range(initial_epoch, epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        run = start_epoch(epoch)
        first = 0
        while first < steps:
            event = events.next_event(callbacks.callbacks, epoch * steps + first, done, steps)
            due = steps if event is None else event - epoch * steps
            last = min(first + chunk, steps, due)
            _begin(callbacks, first, last)
            logs = run(first, last)
            callbacks.on_train_batch_end(last - 1, logs)
            done += last - first
            first = last
            if model.stop_training:
                break
        logs = {**_metrics_or(logs, model), **validate(epoch)}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs=logs)


def test(
    model: keras.Model,
    run: Callable,
    *,
    steps: int,
    chunk: int,
    callbacks: keras.callbacks.CallbackList,
) -> dict:
    """Evaluates in chunks, and returns the model's metrics as `evaluate(return_dict=True)` does.

    Args:
        model: A compiled model.
        run: `run(first, last) -> logs`, as for `train`.
        steps: Number of steps.
        chunk: Largest number of steps in a chunk.
        callbacks: The callbacks to call.
    """
    logs = {}
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    for first in range(0, steps, chunk):
        last = min(first + chunk, steps)
        callbacks.on_test_batch_begin(first)
        logs = run(first, last)
        callbacks.on_test_batch_end(last - 1, logs)
        if model.stop_evaluating:
            break
    logs = keras.tree.map_structure(_number, _metrics_or(logs, model))
    callbacks.on_test_end(logs)
    return logs


def _begin(callbacks: Any, first: int, last: int) -> None:
    """The hooks of the begin of a chunk; what counts batches sees each one of it."""
    callbacks.on_train_batch_begin(first)
    for callback in filter(events.counts_batches, callbacks.callbacks):
        for batch in range(first + 1, last):
            callback.on_train_batch_begin(batch)


def _metrics_or(logs: Any, model: keras.Model) -> Any:
    """The model's metrics, unless a step of the user's own returned other names."""
    metrics = model.get_metrics_result()
    return metrics if set(logs) == set(metrics) else dict(logs)


def _number(value: Any) -> Any:
    """A float, or the array that a metric with a value for each class gives."""
    array = keras.ops.convert_to_numpy(value)
    return array if array.ndim else float(array)
