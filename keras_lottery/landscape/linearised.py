"""`linearised`: a network's first-order expansion, as a model that can be trained."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import variables
from keras_lottery.model.around import ModelAround


def linearised(model: keras.Model) -> "Linearised":
    """The first-order expansion of a model at its present weights, as a trainable model.

    It computes `f(x; w) + J(x; w) @ change`, where `change` is trained and begins at zero, by one
    forward-mode product; so it is linear in what is trained, as a network of infinite width would
    be (Jacot et al. 2018, https://arxiv.org/abs/1806.07572; for lottery tickets see Fort et al.
    2020, https://arxiv.org/abs/2010.15110). Give it a model that ends in logits. Normalisation
    computes as in inference and there is no dropout; pruned weights of a model with masks stay
    pruned.

    Args:
        model: A built `keras.Model`. It stays as it is.

    Returns:
        A `keras.Model`: compile it, and train it as any.

    Raises:
        ValueError: If the model is not built, nothing of it is trainable, or the backend is torch.

    Example:

    >>> layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    >>> model = keras.Sequential([keras.Input((1,)), layer])
    >>> linear = linearised(model)
    >>> float(linear(keras.ops.ones((1, 1)))[0, 0])
    1.0
    """
    backend = keras.backend.backend()
    if backend not in _PRODUCTS:
        raise ValueError(
            f"A forward-mode product is computed on TensorFlow and JAX; the backend is {backend!r}."
        )
    if not variables.named(model) or not model.trainable_variables:
        raise ValueError(f"The model {model.name!r} has no trainable variables.")
    return Linearised(model)


class Linearised(ModelAround):
    """A model around another one, which trains changes of its weights; see `linearised`."""

    def __init__(self, model: keras.Model):
        super().__init__(model, name=f"{model.name}_linearised")
        with variables.scope(model):
            self.trained = [
                self.add_weight(
                    name=f"change_{index}", shape=one.shape, dtype=one.dtype, initializer="zeros"
                )
                for index, one in enumerate(model.trainable_variables)
            ]
        self._masks = _masks_of(model)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The outputs at the weights, and what their change adds to them at first order."""
        trained = self.inner.trainable_variables
        ours = {id(variable) for variable in trained}
        others = [(v, v.value) for v in self.inner.variables if id(v) not in ours]

        def outputs_at(values: Sequence[Any]) -> Any:
            mapping = [*others, *zip(trained, values, strict=True)]
            with keras.StatelessScope(state_mapping=mapping):
                return self.inner(inputs, training=False)

        weights = [keras.ops.convert_to_tensor(variable.value) for variable in trained]
        changes = [
            keras.ops.convert_to_tensor(change.value)
            if mask is None
            else change.value * keras.ops.convert_to_tensor(mask)
            for change, mask in zip(self.trained, self._masks, strict=True)
        ]
        outputs, added = _PRODUCTS[keras.backend.backend()](outputs_at, weights, changes)
        return keras.tree.map_structure(lambda output, more: output + more, outputs, added)


def _masks_of(model: keras.Model) -> list[Any]:
    """For each trainable variable its mask, in its own dtype, or `None`."""
    lottery = Lottery.on(model)
    masks = {} if lottery is None else lottery.masks
    named = {id(variable): name for name, variable in variables.named(model).items()}
    found = [(variable, masks.get(named[id(variable)])) for variable in model.trainable_variables]
    return [None if mask is None else mask.astype(variable.dtype) for variable, mask in found]


def _tensorflow(
    outputs_at: Callable[[Sequence[Any]], Any], weights: Sequence[Any], changes: Sequence[Any]
) -> tuple[Any, Any]:
    import tensorflow as tf

    with tf.autodiff.ForwardAccumulator(list(weights), list(changes)) as accumulator:
        outputs = outputs_at(weights)
    zero = tf.UnconnectedGradients.ZERO
    return outputs, accumulator.jvp(outputs, unconnected_gradients=zero)


def _jax(
    outputs_at: Callable[[Sequence[Any]], Any], weights: Sequence[Any], changes: Sequence[Any]
) -> tuple[Any, Any]:
    import jax

    return jax.jvp(outputs_at, (list(weights),), (list(changes),))


_PRODUCTS = {"tensorflow": _tensorflow, "jax": _jax}
