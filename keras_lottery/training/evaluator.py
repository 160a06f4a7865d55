"""`evaluator`: what `keras.Model.evaluate` computes, over many steps in one call."""

from collections.abc import Callable

import keras

from keras_lottery.training import choice, data, loop


def evaluator(
    model: keras.Model,
    x,
    y=None,
    *,
    batch_size: int | None = None,
    sample_weight=None,
    chunk: int = 100,
) -> Callable:
    """A function that evaluates a model on the same data whenever it is called.

    Made for looking often, as a callback that validates every hundred steps does: the data is
    converted once and the steps are fused as those of `keras_lottery.fit` are. Like
    `model.evaluate`, it resets the model's metrics. On TensorFlow only: elsewhere, and where steps
    cannot be fused, it calls `model.evaluate`.

    Args:
        model: A compiled `keras.Model`.
        x: Inputs, as for `model.evaluate`.
        y: Targets.
        batch_size: Samples in a batch, if `x` is arrays; 32 by default.
        sample_weight: A weight for each sample, or `None`.
        chunk: Largest number of steps between two calls of the batch hooks.

    Returns:
        A function of a `keras.callbacks.CallbackList` (by default of none) that returns loss and
        metrics by name.

    Raises:
        ValueError: If `batch_size` or `chunk` is below 1, or arrays differ in length or are empty.

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "relu")])
    >>> model.compile(loss="mse")
    >>> evaluate = evaluator(model, np.zeros((5, 2)), np.ones((5, 1)))
    >>> evaluate()
    {'loss': 1.0}
    """
    data.check_sizes(batch_size, chunk)
    fusible = (
        keras.backend.backend() == "tensorflow"
        and all(map(data.are_arrays, (x, y, sample_weight)))
        and choice.obstacle(model, ("evaluate", "make_test_function")) is None
    )
    return (_fused if fusible else _plain)(model, x, y, batch_size, sample_weight, chunk)


def _fused(model, x, y, batch_size, sample_weight, chunk):
    from keras_lottery.training.tensorflow_steps import Steps

    # Compiling would rarely pay for itself here: a test step is a third of a training step.
    path = choice.Choice("xla" if model.jit_compile else "graph", "as in model.evaluate")
    arrays = data.pack(x, y, sample_weight)
    samples = data.Samples(arrays, batch_size or data.BATCH_SIZE).as_tensors()
    run = Steps(model, samples, "test", lambda operations: path).start_epoch(0)

    def evaluate(callbacks=None):
        callbacks = callbacks or keras.callbacks.CallbackList(model=model)
        return loop.test(model, run, steps=samples.steps, chunk=chunk, callbacks=callbacks)

    return evaluate


def _plain(model, x, y, batch_size, sample_weight, chunk):
    def evaluate(callbacks=None):
        return model.evaluate(
            x,
            y,
            batch_size=batch_size,
            sample_weight=sample_weight,
            callbacks=callbacks,
            verbose=0,
            return_dict=True,
        )

    return evaluate
