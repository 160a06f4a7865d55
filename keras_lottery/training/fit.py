"""`fit`: the face of `keras.Model.fit`, over many steps in one compiled call."""

import functools

import keras

from keras_lottery.training import choice as choices
from keras_lottery.training import data, loop, plain


def fit(
    model,
    x,
    y=None,
    *,
    batch_size=32,
    epochs=1,
    verbose="auto",
    callbacks=None,
    validation_data=None,
    shuffle=True,
    class_weight=None,
    sample_weight=None,
    initial_epoch=0,
    validation_batch_size=None,
    validation_freq=1,
    seed=0,
    fused="auto",
    chunk=100,
    memory_limit=2**31,
):
    """Trains as `model.fit` does, in less time.

    Small and medium networks spend most of a `fit` between their steps. Here the data stays in
    memory and up to `chunk` steps run in one compiled call around the model's own `train_step`.

    Args:
        seed: int, of the order of the batches.
        fused: `"auto"`, `"always"` or `"never"`.
        chunk: int, largest number of steps between two calls of the batch hooks.
        memory_limit: int, bytes of training data above which `model.fit` is used.

    Returns:
        The `keras.callbacks.History`; `history.params["fused"]` is the way that was taken,
        `"xla"`, `"graph"`, `"scan"` or `"plain"`, and `history.params["fused_reason"]` says why.
    """
    arrays = data.pack(x, y, sample_weight, class_weight)
    samples = data.Samples(arrays, batch_size, seed if shuffle else None)
    obstacle = choices.obstacle(model)
    if fused == "never" or obstacle:
        choice = choices.Choice("plain", obstacle or "fused='never'")
        _say(str(choice), verbose)
        history = plain.fit_batches(
            model,
            samples,
            epochs=epochs,
            verbose=verbose,
            callbacks=keras.tree.flatten(callbacks or []),
            validation_data=validation_data,
            initial_epoch=initial_epoch,
            validation_batch_size=validation_batch_size or batch_size,
            validation_freq=validation_freq,
        )
        history.params |= {"fused": choice.path, "fused_reason": choice.reason}
        return history

    import tensorflow as tf

    from keras_lottery.training.tensorflow_steps import Steps

    steps = Steps(model, samples)
    choice = choices.tensorflow_choice(
        steps.operations(),
        model.jit_compile,
        on_cpu=not tf.config.list_logical_devices("GPU"),
    )
    steps.xla = choice.path == "xla"
    _say(str(choice), verbose)
    callbacks = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=samples.steps,
    )

    def validate(epoch):
        due = (
            (epoch + 1) % validation_freq == 0
            if isinstance(validation_freq, int)
            else epoch + 1 in validation_freq
        )
        if validation_data is None or not due:
            return {}
        val_x, val_y, val_weight = keras.utils.unpack_x_y_sample_weight(validation_data)
        logs = model.evaluate(
            val_x,
            val_y,
            sample_weight=val_weight,
            batch_size=validation_batch_size or batch_size,
            callbacks=callbacks,
            return_dict=True,
        )
        return {f"val_{name}": value for name, value in logs.items()}

    loop.train(
        model,
        steps.start_epoch,
        steps=samples.steps,
        epochs=epochs,
        initial_epoch=initial_epoch,
        chunk=chunk,
        callbacks=callbacks,
        validate=validate,
    )
    model.history.params |= {"fused": choice.path, "fused_reason": choice.reason}
    return model.history


def _say(message, verbose):
    if verbose:
        _say_once(message)


@functools.cache
def _say_once(message):
    print(message)
