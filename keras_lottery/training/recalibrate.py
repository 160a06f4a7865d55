"""New statistics for BatchNormalization: what a pruned network's own activations are like."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.model import calls, keras_internals


def recalibrate(model: keras.Model, data: Any, batch_size: int = 64) -> None:
    """Renew the moving statistics of every BatchNormalization from samples; no weight changes.

    Pruning a trained network changes what its layers see, and the statistics are still those of the
    dense one. New ones are the means of the batches' statistics, by samples; what the network knew
    before does not count. Layers normalise by the batch meanwhile, frozen ones too, and everything
    else computes as in inference: no dropout, no noise.

    Args:
        model: A built `keras.Model`.
        data: Samples as the model is called on them, an array, or a dict of arrays; or a pair `(x,
            y)`; or an iterable of batches of either kind, such as a list, a `tf.data.Dataset` or a
            `PyDataset`. A list is one of arrays where the model takes a list. Only `x` is looked
            at.
        batch_size: How many samples of arrays make a batch.

    Raises:
        ValueError: If the model has no BatchNormalization, or there are no samples. After any error
            the statistics are as they were.

    Example:

    >>> layer = keras.layers.BatchNormalization()
    >>> model = keras.Sequential([keras.Input((1,)), layer])
    >>> recalibrate(model, np.array([[1.0], [3.0]]))
    >>> float(layer.moving_mean[0]), float(layer.moving_variance[0])
    (2.0, 1.0)
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer, received {batch_size!r}.")
    layers = [
        layer
        for layer in keras_internals.flat_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not layers:
        raise ValueError(
            f"The model {model.name!r} has no BatchNormalization, so no statistics to renew."
        )
    with _kept_after_an_error(layers), _unfrozen(layers), calls.replaced(layers, _in_training):
        samples = 0
        for x in _batches(model, data, batch_size):
            count = len(keras.tree.flatten(x)[0])
            samples += count
            with contextlib.ExitStack() as stack:
                for layer in layers:
                    past = calls.attribute(layer, "momentum", (samples - count) / samples)
                    stack.enter_context(past)
                model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
        if not samples:
            raise ValueError("`data` has no samples.")


def _in_training(layer: keras.Layer, call: Callable[..., Any]) -> Callable[..., Any]:
    def called(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return call(inputs, training=True, mask=mask)

    return called


@contextlib.contextmanager
def _unfrozen(layers: Iterable[keras.Layer]) -> Iterator[None]:
    """A frozen BatchNormalization does not look at the batch."""
    before = [(v, v.trainable) for layer in layers for v in layer.variables]
    frozen = [layer for layer in layers if not layer.trainable]
    for layer in frozen:
        layer.trainable = True
    try:
        yield
    finally:
        for layer in frozen:
            layer.trainable = False
        for variable, trainable in before:
            variable.trainable = trainable


@contextlib.contextmanager
def _kept_after_an_error(layers: Iterable[keras.Layer]) -> Iterator[None]:
    statistics = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in statistics]
    try:
        yield
    except BaseException:
        for variable, values in zip(statistics, before, strict=True):
            variable.assign(values)
        raise


def _batches(model: keras.Model, data: Any, batch_size: int) -> Iterator[Any]:
    """Batches of samples, without what comes with them."""
    takes_a_list = isinstance(keras_internals.inputs_of(model), list)
    if isinstance(data, tuple | Mapping) or hasattr(data, "shape") or takes_a_list:
        x = data[0] if isinstance(data, tuple) else data
        x = keras.tree.map_structure(np.asarray, x)
        for start in range(0, len(keras.tree.flatten(x)[0]), batch_size):
            stop = start + batch_size
            yield keras.tree.map_structure(lambda part: part[start:stop], x)  # noqa: B023
        return
    if isinstance(data, keras.utils.PyDataset):
        data = (data[index] for index in range(data.num_batches))
    if not isinstance(data, Iterable) or isinstance(data, str):
        raise ValueError(
            f"`data` must be arrays or an iterable of batches, received {type(data).__name__}."
        )
    for batch in data:
        yield batch[0] if isinstance(batch, tuple) else batch
