"""The gradient of a compiled model's loss, on TensorFlow, JAX and torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

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
    if not model.compiled or model.loss is None:
        raise ValueError(
            f"The model {model.name!r} has no loss to take gradients of: compile it first."
        )
    of_batch = _BACKENDS[keras.backend.backend()]
    total: dict[str, np.ndarray] = {}
    samples = 0
    for x, y in batches(data):
        count = len(keras.tree.flatten(x)[0])
        samples += count
        for name, value in zip(weights, of_batch(model, list(weights.values()), x, y), strict=True):
            part = count * np.asarray(value, np.result_type(np.float32, value.dtype))
            total[name] = total[name] + part if name in total else part
    if not samples:
        raise ValueError("`data` has no samples.")
    return {name: value / samples for name, value in total.items()}


def batches(data: Any) -> Iterator[tuple]:
    """The batches `(x, y)` of the data that a door was given.

    Args:
        data: A pair of arrays, or of nested arrays, which is read 256 samples at a time; or an
            iterable of batches that can be read again, such as a `tf.data.Dataset`.

    Raises:
        ValueError: If it is neither, or can be read only once.

    >>> [len(y) for _, y in batches((np.zeros((300, 2)), np.zeros(300)))]
    [256, 44]
    """
    if isinstance(data, tuple) and len(data) == 2:
        x, y = (keras.tree.map_structure(np.asarray, part) for part in data)
        for start in range(0, len(keras.tree.flatten(y)[0]), _BATCH):
            stop = start + _BATCH
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


def _tensorflow(model: keras.Model, variables: Sequence[keras.Variable], x: Any, y: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch([variable.value for variable in variables])
        loss = model.compute_loss(x, _tensors(y), model(_tensors(x), training=False))
    found = tape.gradient(
        loss, [v.value for v in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return [keras.ops.convert_to_numpy(one) for one in map(tf.convert_to_tensor, found)]


def _jax(model: keras.Model, variables: Sequence[keras.Variable], x: Any, y: Any) -> Any:
    import jax

    def loss_of(values: Any) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return model.compute_loss(x, _tensors(y), model(_tensors(x), training=False))

    return jax.grad(loss_of)([variable.value for variable in variables])


def _torch(model: keras.Model, variables: Sequence[keras.Variable], x: Any, y: Any) -> Any:
    import torch

    values = [v.value.detach().clone().requires_grad_() for v in variables]
    with torch.enable_grad(), keras.StatelessScope(list(zip(variables, values, strict=True))):
        loss = model.compute_loss(x, _tensors(y), model(_tensors(x), training=False))
    found = torch.autograd.grad(loss, values, allow_unused=True, materialize_grads=True)
    return [keras.ops.convert_to_numpy(one) for one in found]


def _tensors(structure: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_tensor, structure)


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
