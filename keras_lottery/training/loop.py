"""Epochs, callbacks and validation around chunks of steps, on any backend."""

import keras


def train(model, start_epoch, *, steps, epochs, initial_epoch, chunk, callbacks, validate):
    """Trains in chunks and calls the callbacks as `fit` does with `steps_per_execution`.

    A chunk ends after `chunk` steps, at the end of an epoch, and wherever a callback's
    `next_event(step)` asks to be called: `step` counts the steps this call has done, and the
    answer is the count, at least `step + 1`, after which `on_train_batch_end` is due (or `None`).

    Args:
        model: compiled `keras.Model`.
        start_epoch: `epoch -> run`, where `run(first, last) -> logs` does the steps from `first`
            up to, not including, `last` of that epoch, and returns the logs of the last one.
        steps: number of steps in an epoch.
        epochs: epoch to stop before.
        initial_epoch: epoch to start with.
        chunk: largest number of steps in a chunk.
        callbacks: `keras.callbacks.CallbackList`.
        validate: `epoch -> logs`, with the names already prefixed by `val_`.
    """
    events = [c.next_event for c in callbacks.callbacks if hasattr(c, "next_event")]
    logs, done = {}, 0
    model.stop_training = False
    callbacks.on_train_begin()
    # BackupAndRestore says where to resume by setting this attribute, as it does for `fit`.
    initial_epoch = getattr(model, "_initial_epoch", None) or initial_epoch
    for epoch in range(initial_epoch, epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        run = start_epoch(epoch)
        first = 0
        while first < steps:
            last = min(first + chunk, steps, first + _until_event(events, done))
            callbacks.on_train_batch_begin(first)
            logs = run(first, last)
            done += last - first
            callbacks.on_train_batch_end(last - 1, logs)
            first = last
            if model.stop_training:
                break
        logs = {**_epoch_logs(model, logs), **validate(epoch)}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs=logs)


def _until_event(events, done):
    """Steps until the first event of any callback; infinity where none is due."""
    due = [event for event in (next_event(done) for next_event in events) if event is not None]
    if any(event <= done for event in due):
        raise ValueError(
            f"`next_event({done})` must answer a later step or None; received {min(due)}."
        )
    return min(due, default=float("inf")) - done


def _epoch_logs(model, logs):
    """The model's metrics, unless a `train_step` of the user's own returned other names."""
    metrics = model.get_metrics_result()
    return metrics if set(logs) == set(metrics) else dict(logs)
