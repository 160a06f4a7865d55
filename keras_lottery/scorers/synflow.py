"""SynFlow: keep every layer alive (Tanaka et al. 2020, https://arxiv.org/abs/2006.05467)."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.model import calls, keras_internals, variables
from keras_lottery.scorers import _derivatives

# A sum of scores between these leaves room for single scores in float32.
_LEAST, _MOST = 1e-20, 1e37


def synflow(model: keras.Model, data: None, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores weights by the synaptic flow through them, without data (section 4).

    All weights become their absolute values, every input is 1, every activation is the identity,
    as ReLU is on such signals, and normalisation is that of evaluation. The score is `weight *
    gradient` of the sum of all outputs. It is meant for many small prunings in scope `"globally"`:
    `lottery.prune(0.95, rounds=100)`.

    Where the signal leaves float32's range, each kernel is scaled by a power of two: in a chain of
    layers without biases that multiplies all scores by the same.

    Args:
        model: A built `keras.Model` that knows the shapes of its inputs.
        data: `None`.
        rng: Not used.

    Returns:
        A dict from kernel name to scores of the kernel's shape, not negative.

    Raises:
        ValueError: If an input takes integers or has no fixed shape, the sum of all outputs does
            not depend on the weights, or the signal is out of range and the model is no chain.

    Example:

    >>> layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="out")
    >>> model = keras.Sequential([keras.Input((2,)), layer])
    >>> synflow(model, None, np.random.default_rng(0))["out/kernel"].ravel().tolist()
    [1.0, 1.0]
    """
    kernels = variables.candidates(model)
    ours = {id(kernel) for kernel in kernels.values()}
    others = [v for v in model.trainable_variables if id(v) not in ours]
    weights = [*kernels.values(), *others]
    signal = _signal(model, _ones(model))

    def flow(sizes: Sequence[np.ndarray]) -> list[np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):
            found = _derivatives.gradients(signal, weights, sizes)
            scores = [gradient * size for gradient, size in zip(found, sizes, strict=True)]
        return scores[: len(kernels)]

    sizes = [np.abs(keras.ops.convert_to_numpy(weight)) for weight in weights]
    found = flow(sizes)
    scales = not _in_range(found)
    if scales:
        sizes = [*_scaled(sizes[: len(kernels)]), *sizes[len(kernels) :]]
        found = flow(sizes)
    _refuse_no_signal(model, found)
    if scales:
        _refuse_no_chain(model, found, _derivatives.value(signal, weights, sizes))
    return dict(zip(kernels, found, strict=True))


def _ones(model: keras.Model) -> Any:
    """An input of ones, of one sample."""

    def one(tensor: Any) -> Any:
        if not keras.backend.is_float_dtype(tensor.dtype) or None in tensor.shape[1:]:
            raise ValueError(
                f"synflow feeds ones to every input: {tensor.name!r} has dtype {tensor.dtype} and "
                f"shape {tensor.shape}; it must be floating-point, of a fixed shape."
            )
        return keras.ops.ones((1, *tensor.shape[1:]), tensor.dtype)

    inputs = keras_internals.inputs_of(model)
    if inputs is None:
        raise ValueError(
            f"synflow feeds ones to every input, and {model.name!r} does not know the shapes of "
            "its inputs: make it of keras.Input."
        )
    return keras.tree.map_structure(one, inputs)


def _signal(model: keras.Model, ones: Any) -> Callable[[], Any]:
    """The sum of all outputs, with every activation the identity."""
    layers = [one for one in keras_internals.flat_layers(model) if hasattr(one, "activation")]

    def signal() -> Any:
        with contextlib.ExitStack() as stack:
            for layer in layers:
                identity = calls.attribute(layer, "activation", keras.activations.linear)
                stack.enter_context(identity)
            outputs = keras.tree.flatten(model(ones, training=False))
        return sum(keras.ops.sum(keras.ops.cast(output, "float32")) for output in outputs)

    return signal


def _in_range(found: Sequence[np.ndarray]) -> bool:
    sums = [np.sum(scores, dtype=np.float64) for scores in found]
    return bool(np.isfinite(sums).all() and _LEAST < max(sums) < _MOST)


def _scaled(sizes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Kernels scaled by powers of two, so that the signal stays about 1 from layer to layer."""
    scaled, signal = [], 0.0
    for size in sizes:
        growth = np.sum(size, dtype=np.float64) / size.shape[-1]
        signal += np.log2(growth) if growth else 0
        power = -round(signal)
        signal += power
        scaled.append(np.ldexp(size, power))
    return scaled


def _refuse_no_signal(model: keras.Model, found: Sequence[np.ndarray]) -> None:
    """Nothing here is negative but where something divides by the size of the signal."""
    if not _in_range(found) or any(np.any(scores < 0) for scores in found):
        raise ValueError(
            f"synflow finds no signal that grows with the weights of {model.name!r}: no path of "
            "live weights is left, or a layer divides by the size of what comes before it, as "
            "Softmax, LayerNormalization and attention do. End the model in logits, or take "
            "another scorer."
        )


def _refuse_no_chain(model: keras.Model, found: Sequence[np.ndarray], total: float) -> None:
    """In a chain all of the signal flows through every kernel, and only there scaling is exact."""
    sums = [np.sum(scores, dtype=np.float64) for scores in found]
    if not np.allclose(sums, total, rtol=1e-4):
        raise ValueError(
            f"The synaptic flow of {model.name!r} is out of float32's range, and scaling its "
            "kernels would change their ranking, as it has branches, biases or shared layers."
        )
