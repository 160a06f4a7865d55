"""`fit`: the face of `keras.Model.fit`, over many steps in one compiled call."""

import functools
import inspect
import logging
import warnings
from collections.abc import Collection, Mapping, Sequence

import keras

from keras_lottery.training import data, dataset, distribution, events, loop
from keras_lottery.training.choice import Choice, obstacle, tensorflow_choice
from keras_lottery.training.evaluator import evaluator
from keras_lottery.training.plain import Batches

# Steps in a chunk, where nothing asks for fewer: what a call costs is then little beside them.
CHUNK = 100


def fit(
    model: keras.Model,
    x,
    y=None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.CallbackList | None = None,
    validation_split: float = 0.0,
    validation_data=None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight=None,
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

    A `fit` of a small or medium network spends most of its time between the steps. Here the data
    stays in memory, and up to `chunk` steps run in one compiled call around the model's own
    `train_step`. A chunk ends where Keras' callbacks say a step, by their `save_freq` or
    `update_freq`. A callback of your own is called at every step if it has batch hooks, which costs
    time between the steps; define `next_event(step)` to say when it is due (see
    `keras_lottery.training.loop.train`), or give a `chunk`, and callbacks see what they see with
    `steps_per_execution=chunk`.

    It computes what `model.fit` computes over the same batches: to the bit what
    `jit_compile=True` gives where it compiles with XLA, and up to rounding otherwise. The order
    of the batches depends on `seed` and the epoch alone.

    An interrupt (Ctrl-C) takes effect at the end of a chunk; the model is as after that step.

    What cannot be fused is trained by `model.fit`, with the same batches where the data is arrays
    of numbers. (But for one array without targets: Keras then shuffles it.) A model with a `fit`
    of its own is given `x` and `y` as they are, and of the rest what differs from Keras' defaults.

    There are no `steps_per_epoch` and `validation_steps`: let a dataset end where the epoch shall,
    as by `dataset.take(steps)`. The limits `keras.config.set_max_epochs` and
    `set_max_steps_per_epoch` hold; each epoch then takes the first batches of its own order, where
    Keras goes on from the last epoch's.

    Arrays are copied once, as tensors, at every call: they are the caller's, who may change them
    afterwards, and TensorFlow takes no memory of theirs that is not aligned for it. `model.fit`
    copies them twice at first, and keeps one copy.

    Args:
        model: A compiled `keras.Model`.
        x: Inputs: arrays, tensors or pandas objects, or a `tf.data.Dataset`. A finite dataset is
            read once and kept as arrays; its own batch size holds, and its samples are shuffled
            from `seed` if it shuffles them itself.
        y: Targets, if `x` is arrays.
        batch_size: Samples in a batch, if `x` is arrays; 32 by default.
        epochs: Epoch to stop before.
        verbose: As for `model.fit`; 0 also hides which way the training took.
        callbacks: Callbacks, as for `model.fit`.
        validation_split: Fraction of the samples, the last ones of arrays, that is validated on
            in place of `validation_data`.
        validation_data: As for `model.fit`.
        shuffle: Whether arrays are shuffled at each epoch.
        class_weight: Weight of each class by its index, as for `model.fit`.
        sample_weight: Weights of the samples, as for `model.fit`.
        initial_epoch: Epoch to start with.
        validation_batch_size: Samples in a batch of validation; as in training by default.
        validation_freq: Validate every so many epochs, or after the epochs listed (from 1).
        seed: Of the order of the batches.
        fused: `"auto"`: fuse where possible; `"always"`: an error where it is not; `"never"`:
            `model.fit` over the same batches.
        jit_compile: On TensorFlow, whether fused steps are compiled by XLA. `"auto"`: if the model
            was compiled with `jit_compile=True`, else by a rule, printed and in the history. A
            `jit_compile=False` given to `model.compile` has to be given here too: on a CPU Keras
            stores the same for `"auto"`.
        chunk: Largest number of steps between two calls of the batch hooks. By default 100, or 1
            where a callback of your own has batch hooks and no `next_event`.
        memory_limit: Bytes of training data above which steps are not fused.

    Returns:
        The history. `history.params["fused"]` is `"xla"`, `"graph"`, `"scan"` or `"plain"`, the
        way training took, and `history.params["fused_reason"]` is why.

    Raises:
        ValueError: If an argument is not one of the above, or `fused="always"` and it cannot be; or
            the model is distributed over several workers by TensorFlow, where Keras' `fit` fails.
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
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    callbacks = keras.tree.flatten(callbacks) if callbacks else []
    # What is known before the first step is not said again after the last.
    say = functools.cache(_say if verbose else lambda message: None)
    x, y, sample_weight = keras.tree.map_structure(data.from_pandas, (x, y, sample_weight))
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = data.split((x, y, sample_weight), validation_split)
    why_not = "fused='never'" if fused == "never" else obstacle(model)
    if not dataset.is_dataset(x):
        seed = seed if shuffle else None
        samples, reason = _pack(x, y, sample_weight, class_weight, batch_size, seed, memory_limit)
        why_not = why_not or reason
    elif y is not None or sample_weight is not None:
        raise ValueError("`y` and `sample_weight` must be part of the tf.data.Dataset `x`.")
    elif why_not:
        samples = None
    else:
        samples, why_not = dataset.cache(x, class_weight, seed, memory_limit)
        if samples:
            say(f"The tf.data set is cached as arrays: {data.nbytes(samples.arrays):,} bytes.")
    if fused == "always" and why_not:
        raise ValueError(f"`fused='always'` is not possible: {why_not}.")

    if why_not:
        choice = Choice("plain", why_not)
        say(str(choice))
        # A model with a `fit` of its own is given what was given here.
        if type(model).fit is keras.Model.fit:
            if samples and keras.tree.is_nested(samples.arrays):
                x, y, sample_weight, class_weight = Batches(samples), None, None, None
                callbacks = [x.epoch_setter(), *callbacks]
                shuffle = False
            elif not data.have_shapes(x):
                # It comes in batches, and Keras warns where it cannot shuffle them.
                batch_size, shuffle = None, shuffle and isinstance(x, keras.utils.PyDataset)
        arguments = {
            "batch_size": batch_size,
            "epochs": epochs,
            "verbose": verbose,
            "callbacks": callbacks or None,
            "validation_data": validation_data,
            "shuffle": shuffle,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
            "initial_epoch": initial_epoch,
            "validation_batch_size": validation_batch_size,
            "validation_freq": validation_freq,
        }
        history = _model_fit(model, (x,) if y is None else (x, y), arguments)
    else:
        epochs = _limited(epochs)
        if chunk is None:
            chunk = _chunk(callbacks, say)
        # All epochs count, wherever it starts: a training that is resumed takes the same way.
        total = epochs * samples.steps
        steps = _steps(model, samples.as_tensors(), total, jit_compile, say)
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=samples.steps,
        )
        loop.train(
            model,
            steps.start_epoch,
            steps=samples.steps,
            epochs=epochs,
            initial_epoch=initial_epoch,
            chunk=chunk,
            callbacks=callbacks,
            validate=_validation(
                model,
                validation_data,
                validation_batch_size or samples.batch_size,
                validation_freq,
                chunk,
                callbacks,
            ),
        )
        choice = steps.choice or Choice("plain", "there was no step to do")
        # Said before the first step already, unless XLA then refused the model.
        say(str(choice))
        history = model.history
    how = {"fused": choice.path, "fused_reason": choice.reason}
    # There are none in a history that no callback list has set up.
    history.params = (history.params or {}) | how
    return history


def _check(fused, jit_compile, seed):
    if fused not in ("auto", "always", "never"):
        raise ValueError(f"`fused` must be 'auto', 'always' or 'never': received {fused!r}.")
    if jit_compile not in ("auto", True, False):
        raise ValueError(f"`jit_compile` must be 'auto', True or False: received {jit_compile!r}.")
    # `None` would be the order in which the samples lie; that is `shuffle=False`.
    if seed is None or seed < 0:
        raise ValueError(f"`seed` must be an integer, 0 or above: received {seed}.")


def _check_frequency(validation_freq):
    whole = isinstance(validation_freq, int) and validation_freq >= 1
    listed = isinstance(validation_freq, Collection) and not isinstance(validation_freq, str)
    if not (whole or listed):
        raise ValueError(
            "`validation_freq` must be a number of epochs, 1 or above, or the epochs as a list: "
            f"received {validation_freq!r}."
        )


def _chunk(callbacks, say):
    """The largest number of steps in a chunk, where none is given."""
    names = events.unannounced(callbacks)
    if not names:
        return CHUNK
    say(
        f"Each step is a chunk of its own, as {', '.join(names)} may act at any: "
        f"`next_event(step)` would say at which, chunk={CHUNK} would not ask."
    )
    return 1


def _pack(x, y, sample_weight, class_weight, batch_size, seed, memory_limit):
    """The samples, or `None` if they are not numbers, and why they cannot be fused, or `None`."""
    for name, structure in {"x": x, "y": y, "sample_weight": sample_weight}.items():
        if not data.are_arrays(structure):
            return None, f"`{name}` ({type(structure).__name__}) is not arrays of numbers"
    arrays = data.pack(x, y, sample_weight, class_weight)
    samples = data.Samples(arrays, batch_size or data.BATCH_SIZE, seed)
    large = data.nbytes(arrays) > memory_limit
    return samples, f"the data exceeds memory_limit={memory_limit:,} bytes" if large else None


def _limited(epochs):
    """The epochs to train, limited as Keras limits them for short runs, with its own warnings."""
    if steps := keras.config.max_steps_per_epoch():
        warnings.warn(f"Limiting steps_per_epoch to {steps}", stacklevel=3)
    limit = keras.config.max_epochs()
    if limit and limit < epochs:
        warnings.warn(f"Limiting epochs to {limit}", stacklevel=3)
        return limit
    return epochs


def _model_fit(model, samples, arguments):
    """The history of `model.fit`; a model's own `fit` may know fewer arguments than Keras'."""
    known = inspect.signature(keras.Model.fit).parameters
    given = {name: arg for name, arg in arguments.items() if arg is not known[name].default}
    history = model.fit(*samples, **given)
    if not isinstance(history, keras.callbacks.History):
        raise TypeError(
            f"`{type(model).__name__}.fit` must return a keras.callbacks.History, as "
            f"keras.Model.fit does: received {history!r}."
        )
    return history


def _steps(model, samples, total, jit_compile, say):
    """The compiled steps of the backend."""
    if keras.backend.backend() == "jax":
        from keras_lottery.training.jax_steps import Steps

        return Steps(model, samples)

    import tensorflow as tf

    from keras_lottery.training.tensorflow_steps import Steps

    def choose(operations):
        on_cpu = all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
        jit = model.jit_compile or "auto" if jit_compile == "auto" else jit_compile
        choice = tensorflow_choice(operations, total, jit, on_cpu)
        say(str(choice))
        return choice

    return Steps(model, samples, "train", choose)


def _validation(model, validation_data, batch_size, freq, chunk, callbacks):
    """`epoch -> logs`: empty where there is nothing to validate, or not after this epoch."""
    if validation_data is None:
        return lambda epoch: {}
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(validation_data)
    evaluate = evaluator(
        model, x, y, batch_size=batch_size, sample_weight=sample_weight, chunk=chunk
    )

    def validate(epoch):
        due = (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq
        logs = evaluate(callbacks) if due else {}
        return {f"val_{name}": value for name, value in logs.items()}

    return validate


def _say(message):
    """Print it, or log it where Keras logs its own progress."""
    if keras.config.is_interactive_logging_enabled():
        print(message)
    else:
        logging.getLogger(__name__).info(message)
