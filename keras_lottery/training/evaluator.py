"""`evaluator` computes what `keras.Model.evaluate` does, in one call over many steps."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import keras

from keras_lottery.training import choice, data, loop

Evaluate = Callable[..., dict[str, Any]]


def evaluator(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    batch_size: int | None = None,
    sample_weight: Any = None,
    metrics: Sequence[str | keras.metrics.Metric] | None = None,
    chunk: int = 100,
) -> Evaluate:
    """Make a function that evaluates a model on the same data whenever it is called.

    Use it to evaluate often, as in a callback that validates every hundred steps: it converts the
    data once, and fuses the steps as `keras_lottery.fit` does. It fuses on TensorFlow only; on
    other backends, and where steps cannot be fused, it calls `model.evaluate`.

    Metrics that the model is compiled with are computed at every training step too. Metrics that
    are given here are computed here alone, and leave the model's own metrics as they are; without
    them the model's metrics are reset, as by `model.evaluate`.

    Args:
        model: A compiled `keras.Model`.
        x: Inputs, as for `model.evaluate`.
        y: Targets.
        batch_size: Samples in a batch, if `x` is arrays; 32 by default.
        sample_weight: A weight for each sample, or `None`.
        metrics: Metrics to compute beside the loss, as for `model.compile`, in place of those that
            the model was compiled with.
        chunk: Largest number of steps between two calls of the batch hooks.

    Returns:
        A function that returns loss and metrics by name. It takes a `keras.callbacks.CallbackList`,
        or nothing.

    Raises:
        ValueError: If `batch_size` or `chunk` is below 1, or arrays differ in length or are empty;
            or `metrics` are given for a model with an evaluation of its own.

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "relu")])
    >>> model.compile(loss="mse")
    >>> evaluate = evaluator(model, np.zeros((5, 2)), np.ones((5, 1)))
    >>> evaluate()
    {'loss': 1.0}
    """
    data.check_sizes(batch_size, chunk)
    methods = ("evaluate", "make_test_function")
    if metrics is not None:
        _refuse_own_evaluation(model, methods)
        model = _Measured(model, metrics)
    fusible = (
        keras.backend.backend() == "tensorflow"
        and all(map(data.are_arrays, (x, y, sample_weight)))
        and choice.obstacle(model, methods) is None
    )
    return (_fused if fusible else _plain)(model, x, y, batch_size, sample_weight, chunk)


class _Measured(keras.Model):
    """A model whose evaluation computes the loss of another one, and metrics of its own."""

    def __init__(self, model: keras.Model, metrics: Sequence[str | keras.metrics.Metric]):
        super().__init__(name=model.name, dtype=model.dtype_policy, autocast=False)
        self.inner = model
        self.compile(
            optimizer=None,
            metrics=list(metrics),
            jit_compile=model.jit_compile,
            run_eagerly=model.run_eagerly,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.inner(inputs, training=training)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner.compute_loss(*args, **kwargs)


def _refuse_own_evaluation(model: keras.Model, methods: Collection[str]) -> None:
    """Raise a `ValueError` if a model computes something else than its loss when it evaluates."""
    for method in (*methods, "test_step"):
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise ValueError(
                f"`metrics` cannot be given for {model.name!r}, which has its own {method}: "
                "compile it with them."
            )


def _fused(
    model: keras.Model, x: Any, y: Any, batch_size: int | None, sample_weight: Any, chunk: int
) -> Evaluate:
    from keras_lottery.training.tensorflow_steps import Steps

    # Compiling would rarely pay for itself here: a test step is a third of a training step.
    path = choice.Choice("xla" if model.jit_compile else "graph", "as in model.evaluate")
    arrays = data.pack(x, y, sample_weight)
    samples = data.Samples(arrays, batch_size or data.BATCH_SIZE).as_tensors()
    run = Steps(model, samples, "test", lambda operations: path).start_epoch(0)

    def evaluate(callbacks: keras.callbacks.CallbackList | None = None) -> dict[str, Any]:
        callbacks = callbacks or keras.callbacks.CallbackList(model=model)
        return loop.test(model, run, steps=samples.steps, chunk=chunk, callbacks=callbacks)

    return evaluate


def _plain(
    model: keras.Model, x: Any, y: Any, batch_size: int | None, sample_weight: Any, chunk: int
) -> Evaluate:
    def evaluate(callbacks: keras.callbacks.CallbackList | None = None) -> dict[str, Any]:
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
