"""First and second derivatives of a scalar by a model's weights, on TensorFlow, JAX and torch."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

Scalar = Callable[[], Any]


def gradients(
    scalar: Scalar, variables: Sequence[keras.Variable], values: Sequence[Any] | None = None
) -> list[np.ndarray]:
    """The gradient of a scalar by some weights. Nothing is assigned.

    Args:
        scalar: A function that computes the scalar from a model.
        variables: Variables of the model. Those that the scalar does not depend on get zeros.
        values: What the variables are meanwhile. Defaults to their own values.

    Returns:
        Gradients of the variables' shapes, float32 or wider.
    """
    return _derivatives(scalar, variables, values, None)


def products(
    scalar: Scalar, variables: Sequence[keras.Variable], vectors: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The product of a scalar's Hessian by some weights with a vector, without the Hessian.

    It is the gradient of the sum of `gradient * vector`.

    Args:
        scalar: As for `gradients`.
        variables: Likewise.
        vectors: The vector's part for each variable, of its shape.

    Returns:
        As from `gradients`.

    Raises:
        ValueError: If the backend has no second derivative of an operator of the model.
    """
    return _derivatives(scalar, variables, None, vectors)


def _derivatives(
    scalar: Scalar,
    variables: Sequence[keras.Variable],
    values: Sequence[Any] | None,
    vectors: Sequence[np.ndarray] | None,
) -> list[np.ndarray]:
    if values is None:
        values = [variable.value for variable in variables]
    tensors = _tensors(variables, values)

    def scalar_at(values: Sequence[Any]) -> Any:
        return _at(scalar, variables, values)

    found = _BACKENDS[keras.backend.backend()](scalar_at, tensors, vectors)
    arrays = [keras.ops.convert_to_numpy(one) for one in found]
    return [array.astype(np.result_type(np.float32, array.dtype)) for array in arrays]


def value(scalar: Scalar, variables: Sequence[keras.Variable], values: Sequence[Any]) -> float:
    """The scalar itself; the arguments are those of `gradients`."""
    return float(_at(scalar, variables, _tensors(variables, values)))


def _at(scalar: Scalar, variables: Sequence[keras.Variable], tensors: Sequence[Any]) -> Any:
    with keras.StatelessScope(state_mapping=list(zip(variables, tensors, strict=True))):
        return scalar()


def _tensors(variables: Sequence[keras.Variable], values: Sequence[Any]) -> list[Any]:
    return [
        keras.ops.convert_to_tensor(value, variable.dtype)
        for value, variable in zip(values, variables, strict=True)
    ]


def _along(gradients: Sequence[Any], vectors: Sequence[np.ndarray]) -> Any:
    """The sum of `gradient * vector`."""
    return sum(
        keras.ops.sum(gradient * keras.ops.cast(vector, gradient.dtype))
        for gradient, vector in zip(gradients, vectors, strict=True)
    )


def _tensorflow(scalar_at: Callable[..., Any], tensors: list, vectors: Any) -> Any:
    import tensorflow as tf

    zeros = tf.UnconnectedGradients.ZERO
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            scalar = scalar_at(tensors)
        found = tape.gradient(scalar, tensors, unconnected_gradients=zeros)
        found = [tf.convert_to_tensor(one) for one in found]  # a table's is of its rows alone
        if vectors is None:
            return found
        along = _along(found, vectors)
    return map(tf.convert_to_tensor, outer.gradient(along, tensors, unconnected_gradients=zeros))


def _jax(scalar_at: Callable[..., Any], tensors: list, vectors: Any) -> Any:
    import jax

    gradient_at = jax.grad(scalar_at)
    if vectors is None:
        return gradient_at(tensors)
    return jax.grad(lambda values: _along(gradient_at(values), vectors))(tensors)


def _torch(scalar_at: Callable[..., Any], tensors: list, vectors: Any) -> Any:
    import torch

    values = [tensor.detach().clone().requires_grad_() for tensor in tensors]

    def gradient(scalar: Any, again: bool = False) -> Any:
        if not scalar.requires_grad:
            return [torch.zeros_like(value) for value in values]
        return torch.autograd.grad(
            scalar, values, create_graph=again, allow_unused=True, materialize_grads=True
        )

    with torch.enable_grad():
        found = gradient(scalar_at(values), again=vectors is not None)
        if vectors is None:
            return found
        try:
            return gradient(_along(found, vectors))
        except RuntimeError as error:
            raise ValueError(
                f"torch cannot take a second derivative of this model: {error} Use TensorFlow or "
                "JAX, or a scorer of first derivatives."
            ) from error


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
