"""Wanda: weights and activations (Sun et al. 2023, https://arxiv.org/abs/2306.11695)."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lottery.model import calls, keras_internals, variables
from keras_lottery.scorers import _derivatives, _loss

# Small batches, as the inputs of all layers are held for one.
_BATCH = 32

# Layers whose output is linear in their kernel, where `call` is Keras' own.
_LINEAR = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)


def wanda(model: keras.Model, data: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores weights by `|weight|` times the norm of the feature that it multiplies (section 3).

    The L2 norm goes over all samples and positions at which the weight is used. Kernels of Dense,
    EinsumDense, Conv and DepthwiseConv layers have scores, those inside of attention too. The paper
    compares weights within each output; a recipe's scope is over kernels.

    Args:
        model: A built `keras.Model`; it need not be compiled.
        data: A pair of arrays `(x, y)`, or batches of such pairs that can be read again. Only `x`
            is looked at.
        rng: Not used.

    Returns:
        A dict from kernel name to scores of the kernel's shape; no entry for kernels of other
        layers.

    Raises:
        ValueError: If `data` has no samples.

    Example:

    >>> layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="out")
    >>> model = keras.Sequential([keras.Input((2,)), layer])
    >>> data = np.array([[1.0, 2.0]]), np.array([[1.0]])
    >>> wanda(model, data, np.random.default_rng(0))["out/kernel"].ravel().tolist()
    [1.0, 2.0]
    """
    layers = _linear_layers(model)
    names = {id(layer): name for name, layer in layers.items()}
    squares: dict[str, np.ndarray] = {}
    inputs: list[tuple[keras.Layer, Any]] = []

    def noting(layer: keras.Layer, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(x: Any, *args: Any, **kwargs: Any) -> Any:
            inputs.append((layer, x))
            return call(x, *args, **kwargs)

        return noted

    samples = 0
    for x, _ in _loss.batches(data, _BATCH):
        samples += len(keras.tree.flatten(x)[0])
        with calls.replaced(layers.values(), noting):
            model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
        while inputs:
            layer, features = inputs.pop()
            name = names[id(layer)]
            squares[name] = squares.get(name, 0) + _squares(layer, features)
    if not samples:
        raise ValueError("`data` has no samples.")
    weights = variables.candidates(model)
    return {
        name: np.abs(keras.ops.convert_to_numpy(weights[name])) * np.sqrt(total)
        for name, total in squares.items()
    }


def _linear_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """The layers that are linear in their kernel, by the kernel's name."""
    own_calls = {layer.call for layer in _LINEAR}
    names = {id(variable): name for name, variable in variables.candidates(model).items()}
    return {
        names[id(layer.kernel)]: layer
        for layer in keras_internals.flat_layers(model)
        if type(layer).call in own_calls and layer.built and id(layer.kernel) in names
    }


def _squares(layer: keras.Layer, features: Any) -> np.ndarray:
    """The sum of squares of what each weight multiplies: the gradient, by the kernel, of the
    layer's outputs for squared inputs."""
    squared = keras.ops.square(keras.ops.cast(features, "float32"))

    def outputs() -> Any:
        with calls.attribute(layer, "activation", keras.activations.linear):
            return keras.ops.sum(layer.call(squared))

    return _derivatives.gradients(outputs, [layer.kernel])[0].astype(np.float64)
