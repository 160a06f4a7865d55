"""`assign(model, values)`: gives variables new values in a way that their layers notice.

A layer may compute with something that it derived from its variables: `Normalization` keeps its
mean and variance as constants, which it makes when it loads them from a file. A variable assigned
behind such a layer's back changes nothing of what it computes.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.model import keras_internals, variables

# These override the loading for quantized kernels only, and compute with the variables themselves.
# Enabled LoRA would be merged into the kernel by it.
_DERIVE_NOTHING = frozenset(
    layer.load_own_variables
    for layer in (
        keras.layers.Layer,
        keras.layers.Dense,
        keras.layers.EinsumDense,
        keras.layers.Embedding,
        keras.layers.Conv2D,
    )
)


def assign(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Give variables of a model their values, as `load_weights` does.

    A layer with a `load_own_variables` of its own loads what its `save_own_variables` then saves.
    If its variables had other values before, the model's compiled functions are traced anew, since
    constants of such a layer are baked into them.

    Args:
        model: A built `keras.Model`.
        values: Arrays by variable name (see `variables.named`), each of its variable's shape.
            Variables that are not named stay as they are.

    Raises:
        ValueError: If the model has no variable of a name, or one of another shape, or a layer's
            own loading gives its variables other values. The model is then unchanged.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Normalization(name="scale")])
    >>> assign(model, {"scale/mean": np.array([3.0]), "scale/variance": np.array([4.0])})
    >>> model(np.array([[7.0]])).numpy().tolist()
    [[2.0]]
    """
    own = variables.named(model)
    _refuse_misfits(model, own, values)
    layers = _loading_layers(model, {id(own[name]) for name in values})
    theirs = {
        id(variable) for layer in layers for variable in keras_internals.variables_owned_by(layer)
    }
    # First the layers that may refuse.
    first = {name: value for name, value in values.items() if id(own[name]) in theirs}
    before = {name: _array(own[name]) for name in first}
    _write(own, first)
    try:
        for layer in layers:
            _reload(layer)
    except ValueError:
        _write(own, before)
        for layer in layers:
            _reload(layer)
        raise
    _write(own, {name: value for name, value in values.items() if name not in first})
    if any(not np.array_equal(before[name], value) for name, value in first.items()):
        _retrace(model)


def _refuse_misfits(model: keras.Model, own: Mapping[str, keras.Variable], values: Any) -> None:
    for name, value in values.items():
        if name not in own:
            raise ValueError(
                f"`values` has {name!r}, and {model.name!r} has no variable of that name; it has "
                f"{', '.join(own)}."
            )
        if np.shape(value) != tuple(own[name].shape):
            raise ValueError(
                f"`values` has {name!r} of shape {np.shape(value)}; in {model.name!r} its shape is "
                f"{tuple(own[name].shape)}."
            )


def _loading_layers(model: keras.Model, assigned: set[int]) -> list[keras.Layer]:
    """Layers that load by themselves, and own variables that will be assigned."""
    return [
        layer
        for layer in keras_internals.flat_layers(model)
        if type(layer).load_own_variables not in _DERIVE_NOTHING
        and any(id(variable) in assigned for variable in keras_internals.variables_owned_by(layer))
    ]


def _write(own: Mapping[str, keras.Variable], values: Any) -> None:
    for name, value in values.items():
        own[name].assign(value)


def _reload(layer: keras.Layer) -> None:
    """Let a layer load the values that its variables have, in the form that it saves them in."""
    expected = [_array(variable) for variable in keras_internals.variables_owned_by(layer)]
    store: dict[str, np.ndarray] = {}
    layer.save_own_variables(store)
    layer.load_own_variables({key: _array(value) for key, value in store.items()})
    for variable, value in zip(keras_internals.variables_owned_by(layer), expected, strict=True):
        if _array(variable).tobytes() != value.tobytes():
            raise ValueError(
                f"the layer {layer.name!r} ({type(layer).__name__}) does not load "
                f"{variable.path!r} as it was assigned: its `save_own_variables` must save what "
                "the variable holds, and its `load_own_variables` load that unchanged."
            )


def _array(value: Any) -> np.ndarray:
    """A copy of a value as a file would give it back."""
    return np.array(keras.ops.convert_to_numpy(value))


def _retrace(model: keras.Model) -> None:
    """Trace anew what the model and the models in it had compiled."""
    for part in keras_internals.flat_layers(model):
        for kind in ("train", "test", "predict"):
            if getattr(part, f"{kind}_function", None) is not None:
                getattr(part, f"make_{kind}_function")(force=True)
