"""Derivatives of a compiled model's loss over all samples, and the batches they are taken over."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.scorers import _derivatives

_BATCH = 256


def gradients(
    model: keras.Model, weights: Mapping[str, keras.Variable], data: Any
) -> dict[str, np.ndarray]:
    """The gradient of the mean loss over all samples, for some weights.

    The model computes as in inference: no dropout, and normalisation by its own statistics. Nothing
    of it changes.

    Args:
        model: A built and compiled `keras.Model`.
        weights: Variables of the model by name. Those that the loss does not depend on get zeros.
        data: A pair of arrays `(x, y)`, or batches of such pairs that can be read again.

    Returns:
        A dict from name to gradient, of the variable's shape and float32 or wider.

    Raises:
        ValueError: If the model is not compiled with a loss, or `data` has no samples, or is
            neither of the two.
    """
    variables = list(weights.values())
    return mean(model, weights, data, lambda loss: _derivatives.gradients(loss, variables))


def products(
    model: keras.Model,
    weights: Mapping[str, keras.Variable],
    data: Any,
    vectors: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The product of the mean loss's Hessian with a vector; arguments are those of `gradients`.

    Args:
        vectors: The vector's part for each of the weights, by name.

    Returns:
        As from `gradients`.

    Raises:
        ValueError: As from `gradients`; or the backend has no second derivative.
    """
    variables, parts = list(weights.values()), [vectors[name] for name in weights]
    return mean(model, weights, data, lambda loss: _derivatives.products(loss, variables, parts))


def mean(
    model: keras.Model,
    weights: Mapping[str, keras.Variable],
    data: Any,
    measure: Callable[[Callable[[], Any]], list[np.ndarray]],
) -> dict[str, np.ndarray]:
    """The mean over all samples of what is measured of each batch's loss.

    Args:
        model: As for `gradients`.
        weights: Likewise.
        data: Likewise.
        measure: A function from a function that computes a batch's mean loss to an array for each
            of the weights.

    Returns:
        As from `gradients`.

    Raises:
        ValueError: As from `gradients`.
    """
    if not model.compiled or model.loss is None:
        raise ValueError(
            f"The model {model.name!r} has no loss to take gradients of: compile it first."
        )
    total: dict[str, np.ndarray] = {}
    samples = 0
    for x, y in batches(data):
        inputs, targets = _tensors(x), _tensors(y)
        count = len(keras.tree.flatten(x)[0])
        samples += count
        found = measure(lambda: model.compute_loss(inputs, targets, model(inputs, training=False)))  # noqa: B023
        for name, value in zip(weights, found, strict=True):
            total[name] = total[name] + count * value if name in total else count * value
    if not samples:
        raise ValueError("`data` has no samples.")
    return {name: value / samples for name, value in total.items()}


def batches(data: Any, size: int = _BATCH) -> Iterator[tuple]:
    """The batches `(x, y)` of the data that a door was given.

    Args:
        data: A pair of arrays, or of nested arrays, which is read `size` samples at a time; or an
            iterable of batches that can be read again, such as a `tf.data.Dataset`.
        size: How many samples of arrays make a batch.

    Raises:
        ValueError: If it is neither, or can be read only once.

    >>> [len(y) for _, y in batches((np.zeros((300, 2)), np.zeros(300)))]
    [256, 44]
    """
    if isinstance(data, tuple) and len(data) == 2:
        x, y = (keras.tree.map_structure(np.asarray, part) for part in data)
        for start in range(0, len(keras.tree.flatten(y)[0]), size):
            stop = start + size
            yield keras.tree.map_structure(lambda part: part[start:stop], (x, y))  # noqa: B023
    elif isinstance(data, Iterable) and not isinstance(data, Iterator | Mapping | str):
        for batch in data:
            if not isinstance(batch, tuple | list) or len(batch) < 2:
                raise ValueError(
                    "`data` must be a pair of arrays (x, y), or batches of such pairs."
                )
            yield batch[0], batch[1]
    else:
        raise ValueError(
            "`data` must be a pair of arrays (x, y), or batches of such pairs that can be read "
            f"again (a list, a tf.data.Dataset), received {type(data).__name__}."
        )


def _tensors(structure: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_tensor, structure)
