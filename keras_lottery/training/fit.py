"""`fit` trains as `keras.Model.fit` does, with many steps in one compiled call."""

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras

from keras_lottery.training import data, distribution, plain, source
from keras_lottery.training import fused as fused_steps
from keras_lottery.training.choice import Choice, obstacle
from keras_lottery.training.plan import Plan


def fit(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.CallbackList | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    validation_batch_size: int | None = None,
    validation_freq: int | Collection[int] = 1,
    seed: int = 0,
    fused: str = "auto",
    jit_compile: bool | str = "auto",
    chunk: int | None = None,
    memory_limit: int = 2**31,
) -> keras.callbacks.History:
    """Trains as `model.fit` does, in less time.

    `model.fit` of a small or medium network spends most of its time between the steps. Here the
    data stays in memory, and up to `chunk` steps run in one compiled call around the model's own
    `train_step`. A chunk ends at the steps that Keras' callbacks name by `save_freq` or
    `update_freq`. A callback of your own with batch hooks is called at every step, which costs time
    between the steps. Either define `next_event(step)` to say when it is due (see
    `keras_lottery.training.loop.train`), or give a `chunk`: callbacks then see what they see with
    `steps_per_execution=chunk`.

    It computes what `model.fit` computes over the same batches: to the bit what `jit_compile=True`
    gives where it compiles with XLA, and up to rounding otherwise. The order of the batches depends
    on `seed` and the epoch alone.

    An interrupt (Ctrl-C) takes effect at the end of a chunk; the model is as after that step.

    A model whose steps cannot be fused is trained by `model.fit`, with the same batches if the data
    is arrays of numbers. The one exception is a single array without targets, which Keras shuffles
    itself. A model with a `fit` of its own gets `x` and `y` as they are, and those other arguments
    that differ from Keras' defaults.

    There are no `steps_per_epoch` and `validation_steps`: let a dataset end with the epoch, for
    example by `dataset.take(steps)`. The limits `keras.config.set_max_epochs` and
    `set_max_steps_per_epoch` hold; each epoch then takes the first batches of its own order, where
    Keras goes on from the last epoch's.

    Every call copies arrays once, into tensors: the caller may change the arrays afterwards, and
    their memory need not be aligned as TensorFlow wants it. `model.fit` copies them twice at first,
    and keeps one copy.

    Args:
        model: A compiled `keras.Model`.
        x: Inputs: arrays, tensors or pandas objects, or a `tf.data.Dataset`. A finite dataset is
            read once and kept as arrays; its own batch size holds, and its samples are shuffled
            from `seed` if it shuffles them itself.
        y: Targets, if `x` is arrays.
        batch_size: Samples in a batch, if `x` is arrays; 32 by default.
        epochs: The number of epochs to train; with `initial_epoch`, the epoch to stop before.
        verbose: As for `model.fit`; 0 also hides the way that was chosen to train.
        callbacks: Callbacks, as for `model.fit`.
        validation_split: Fraction of the samples, the last ones of arrays, that is validated on
            in place of `validation_data`.
        validation_data: As for `model.fit`.
        shuffle: Whether arrays are shuffled at each epoch.
        class_weight: Weight of each class by its index, as for `model.fit`.
        sample_weight: Weights of the samples, as for `model.fit`.
        initial_epoch: The epoch to start with, counted from 0.
        validation_batch_size: Samples in a batch of validation; as in training by default.
        validation_freq: Validate every so many epochs, or after the epochs listed (from 1).
        seed: Seed of the order of the batches.
        fused: `"auto"` fuses steps where possible; `"always"` raises an error where it is not;
            `"never"` calls `model.fit` over the same batches.
        jit_compile: On TensorFlow, whether fused steps are compiled by XLA. `"auto"` does so if the
            model was compiled with `jit_compile=True`, else a rule decides, which is printed and in
            the history. A `jit_compile=False` of `model.compile` has to be given here too, since on
            a CPU Keras stores the same for `"auto"`.
        chunk: Largest number of steps between two calls of the batch hooks. By default 100, or 1
            where a callback of your own has batch hooks and no `next_event`.
        memory_limit: Bytes of training data above which steps are not fused.

    Returns:
        The history. `history.params["fused"]` is the way it was trained, `"xla"`, `"graph"`,
        `"scan"` or `"plain"`, and `history.params["fused_reason"]` says why.

    Raises:
        ValueError: If an argument is none of the above, or steps cannot be fused with
            `fused="always"`, or TensorFlow distributes the model over several workers, where Keras'
            `fit` fails.
        TypeError: If the model has a `fit` of its own that returns no history.

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = fit(model, np.ones((8, 2)), np.ones((8, 1)), epochs=3, verbose=0)
    >>> len(history.history["loss"])
    3
    """
    _check(fused, jit_compile, seed)
    data.check_sizes(batch_size, chunk)
    _check_frequency(validation_freq)
    if x is None:
        raise ValueError("`x` must be arrays or a source of batches: received None.")
    if type(model).fit is keras.Model.fit:
        distribution.refuse_workers(model)
    # What is known before the first step is not said again after the last.
    say = functools.cache(_say if verbose else lambda message: None)

    (x, y, sample_weight), validation_data = source.split(
        x, y, sample_weight, validation_split, validation_data
    )
    given = source.read(
        x,
        y,
        sample_weight,
        class_weight,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        memory_limit=memory_limit,
        obstacle="fused='never'" if fused == "never" else obstacle(model),
        say=say,
    )
    if fused == "always" and given.obstacle:
        raise ValueError(f"`fused='always'` is not possible: {given.obstacle}.")

    plan = Plan(
        epochs,
        initial_epoch,
        verbose,
        _as_list(callbacks),
        validation_data,
        validation_batch_size,
        validation_freq,
        chunk,
    )
    if given.obstacle is None and given.samples:
        history, choice = fused_steps.train(model, given.samples, plan, jit_compile, say)
    else:
        choice = Choice("plain", str(given.obstacle))
        say(str(choice))
        history = plain.train(model, given, plan, shuffle)
    # `history.params` is None where no CallbackList ran, as in a model's own `fit`.
    how = {"fused": choice.path, "fused_reason": choice.reason}
    history.params = (history.params or {}) | how
    return history


def _as_list(
    callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.CallbackList | None,
) -> list[keras.callbacks.Callback]:
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    return keras.tree.flatten(callbacks) if callbacks else []


def _check(fused: str, jit_compile: bool | str, seed: int) -> None:
    if fused not in ("auto", "always", "never"):
        raise ValueError(f"`fused` must be 'auto', 'always' or 'never': received {fused!r}.")
    if jit_compile not in ("auto", True, False):
        raise ValueError(f"`jit_compile` must be 'auto', True or False: received {jit_compile!r}.")
    # `None` would be the order in which the samples lie; that is `shuffle=False`.
    if seed is None or seed < 0:
        raise ValueError(f"`seed` must be an integer, 0 or above: received {seed}.")


def _check_frequency(validation_freq: int | Collection[int]) -> None:
    whole = isinstance(validation_freq, int) and validation_freq >= 1
    listed = isinstance(validation_freq, Collection) and not isinstance(validation_freq, str)
    if not (whole or listed):
        raise ValueError(
            "`validation_freq` must be a number of epochs, 1 or above, or the epochs as a list: "
            f"received {validation_freq!r}."
        )


def _say(message: str) -> None:
    """Print it, or log it where Keras logs its own progress."""
    if keras.config.is_interactive_logging_enabled():
        print(message)
    else:
        logging.getLogger(__name__).info(message)
