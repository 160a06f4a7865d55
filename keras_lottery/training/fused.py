"""Trains with fused steps of a backend, and does epochs, callbacks and validation around them."""

import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras

from keras_lottery.training import events, loop
from keras_lottery.training.choice import Choice, tensorflow_choice
from keras_lottery.training.data import Samples
from keras_lottery.training.evaluator import evaluator
from keras_lottery.training.plan import Plan

# Steps in a chunk, if nothing asks for fewer: the cost of a call is then small beside theirs.
CHUNK = 100


def train(
    model: keras.Model,
    samples: Samples,
    plan: Plan,
    jit_compile: bool | str,
    say: Callable[[str], None],
) -> tuple[keras.callbacks.History, Choice]:
    """Train a model with fused steps.

    Args:
        model: A compiled model without an obstacle (see `choice.obstacle`).
        samples: The training data.
        plan: The length of the training, and what happens around the steps.
        jit_compile: Whether TensorFlow compiles the steps by XLA, or `"auto"`.
        say: A function that prints a line for the user.

    Returns:
        The history, and the `Choice` of the way to train.
    """
    epochs = _limited(plan.epochs)
    chunk = plan.chunk or _chunk(plan.callbacks, say)
    # All epochs count, wherever it starts: a training that is resumed takes the same way.
    total = epochs * samples.steps
    steps = _steps(model, samples.as_tensors(), total, jit_compile, say)
    callbacks = keras.callbacks.CallbackList(
        plan.callbacks,
        add_history=True,
        add_progbar=plan.verbose != 0,
        model=model,
        verbose=plan.verbose,
        epochs=epochs,
        steps=samples.steps,
    )
    loop.train(
        model,
        steps.start_epoch,
        steps=samples.steps,
        epochs=epochs,
        initial_epoch=plan.initial_epoch,
        chunk=chunk,
        callbacks=callbacks,
        validate=_validation(
            model,
            plan.validation_data,
            plan.validation_batch_size or samples.batch_size,
            plan.validation_freq,
            chunk,
            callbacks,
        ),
    )
    choice = steps.choice or Choice("plain", "there was no step to do")
    # Said before the first step already, unless XLA then refused the model.
    say(str(choice))
    return model.history, choice


def _limited(epochs: int) -> int:
    """The epochs to train, limited as Keras limits them for short runs, with its own warnings."""
    if steps := keras.config.max_steps_per_epoch():
        warnings.warn(f"Limiting steps_per_epoch to {steps}", stacklevel=4)
    limit = keras.config.max_epochs()
    if limit and limit < epochs:
        warnings.warn(f"Limiting epochs to {limit}", stacklevel=4)
        return limit
    return epochs


def _chunk(callbacks: list[keras.callbacks.Callback], say: Callable[[str], None]) -> int:
    """The largest number of steps in a chunk, where none is given."""
    names = events.unannounced(callbacks)
    if not names:
        return CHUNK
    say(
        f"Each step runs by itself, as {', '.join(names)} may act at any step. To run several at "
        f"once, define its `next_event(step)`, or give chunk={CHUNK} to call it that rarely."
    )
    return 1


def _steps(
    model: keras.Model,
    samples: Samples,
    total: int,
    jit_compile: bool | str,
    say: Callable[[str], None],
) -> Any:
    """The compiled steps of the backend."""
    if keras.backend.backend() == "jax":
        from keras_lottery.training import jax_steps

        return jax_steps.Steps(model, samples)

    import tensorflow as tf

    from keras_lottery.training import tensorflow_steps

    def choose(operations: Collection[str]) -> Choice:
        on_cpu = all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
        jit = model.jit_compile or "auto" if jit_compile == "auto" else jit_compile
        choice = tensorflow_choice(operations, total, jit, on_cpu)
        say(str(choice))
        return choice

    return tensorflow_steps.Steps(model, samples, "train", choose)


def _validation(
    model: keras.Model,
    validation_data: Any,
    batch_size: int,
    freq: int | Collection[int],
    chunk: int,
    callbacks: keras.callbacks.CallbackList,
) -> Callable[[int], Mapping[str, float]]:
    """`epoch -> logs`: empty where there is nothing to validate, or not after this epoch."""
    if validation_data is None:
        return lambda epoch: {}
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(validation_data)
    evaluate = evaluator(
        model, x, y, batch_size=batch_size, sample_weight=sample_weight, chunk=chunk
    )

    def validate(epoch: int) -> dict[str, float]:
        due = (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq
        logs = evaluate(callbacks) if due else {}
        return {f"val_{name}": value for name, value in logs.items()}

    return validate
