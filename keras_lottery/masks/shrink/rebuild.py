"""`rebuilt(model, plan)`: a new model without the units that go."""

import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.masks.shrink.plan import Plan
from keras_lottery.masks.shrink.step import Step
from keras_lottery.model import assignment, calls, keras_internals, variables
from keras_lottery.model.arrays import array

_OBJECTS = (
    types.FunctionType,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
)


def rebuilt(model: keras.Model, plan: Plan) -> keras.Model:
    """Make the smaller model. It is not compiled, and shares nothing with the other.

    Args:
        model: The model that was planned for, which stays as it is.
        plan: What goes.

    Raises:
        ValueError: If Keras cannot copy a layer.
    """
    steps = {id(step.layer): step for step in plan.trace.steps}
    inner = {id(nested): own for nested, _, own in plan.nested.values()}

    def smaller(layer: keras.Layer) -> keras.Layer:
        if id(layer) in inner:
            return rebuilt(layer, inner[id(layer)])
        step = steps.get(id(layer))
        return _copy(layer) if step is None else _resized(step, plan)

    copy = _cloned(model, smaller)
    if not copy.variables:
        return copy
    names = {id(variable): name for name, variable in variables.named(copy).items()}
    values: dict[str, np.ndarray] = {}
    for old, new in zip(model.layers, copy.layers, strict=True):
        if id(old) in inner:
            continue
        step = steps.get(id(old))
        cut = {} if step is None else step.values(plan.keeps)
        values.update({names[id(getattr(new, name))]: value for name, value in cut.items()})
        if not cut:
            values.update(_values(old, new, names))
    assignment.assign(copy, values)
    return copy


def _cloned(model: keras.Model, copied: Callable[[keras.Layer], keras.Layer]) -> keras.Model:
    """A model of copies of the layers, uncompiled whether this one is compiled or not."""
    inputs = None
    if not isinstance(model, keras.Sequential):
        inputs = keras.tree.map_structure(_input_like, keras_internals.inputs_of(model))
    with calls.attribute(model, "compiled", False):
        copy = keras.models.clone_model(model, inputs, copied)
    if not copy.built:  # a Sequential that was built by its first call
        copy.build(model.input_shape)
    return copy


def _input_like(tensor: Any) -> Any:
    """A new input of the same names, which `clone_model` would lose."""
    layer = keras_internals.operation_of(tensor)
    copy = keras.Input(
        batch_shape=layer.batch_shape,
        dtype=layer.dtype,
        sparse=layer.sparse,
        optional=layer.optional,
        name=layer.name,
    )
    copy.name = tensor.name  # another one than its layer's, if the user gave none
    return copy


def _resized(step: Step, plan: Plan) -> keras.Layer:
    """A layer as the plan wants it, with the same activation, initializers and the like."""
    config = _config_of(step.layer)
    for key in config:
        value = getattr(step.layer, key, None)
        if isinstance(value, _OBJECTS):  # not to be made anew from a name that Keras may not know
            config[key] = value
    return type(step.layer).from_config({**config, **step.config(plan.keeps)})


def _config_of(layer: keras.Layer) -> dict[str, Any]:
    """A layer's configuration, which no file will see: a lambda in it is safe."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*includes a `lambda`")
        return layer.get_config()


def _copy(layer: keras.Layer) -> keras.Layer:
    """A layer with the same configuration and new variables."""
    functions = {
        value.__name__: value
        for value in vars(layer).values()
        if isinstance(value, types.FunctionType)
    }
    try:
        with keras.saving.custom_object_scope(functions), keras_internals.lambdas_allowed():
            return type(layer).from_config(_config_of(layer))
    except Exception as error:
        raise ValueError(
            f"Keras cannot copy the layer {layer.name!r} ({type(layer).__name__}), and so "
            f"`model` cannot be shrunk: {error}"
        ) from error


def _values(old: keras.Layer, new: keras.Layer, names: Mapping[int, str]) -> dict[str, np.ndarray]:
    """The values of a layer's variables, those of layers inside it included, by their new names."""
    pairs = zip(old.variables, new.variables, strict=True)
    return {names[id(there)]: array(here) for here, there in pairs if id(there) in names}
