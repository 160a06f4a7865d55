"""Finds the models and optimizers that train some kernels, of which Keras keeps no list.

A backbone is trained through the model around it, a generator by an optimizer of its own, a loop of
the user's by an optimizer that no model knows. So all objects of this process are searched.
"""

import gc
from collections.abc import Iterable
from dataclasses import dataclass

import keras

from keras_lottery.model import keras_internals, variables


@dataclass(frozen=True)
class Trainers:
    """The models and optimizers of this process that can train some kernels.

    Args:
        models: Compiled models that hold one of the kernels.
        optimizers: Optimizers that were built over one of them.
    """

    models: list[keras.Model]
    optimizers: list[keras.optimizers.Optimizer]


def find(kernels: Iterable[keras.Variable]) -> Trainers:
    """Find all models and optimizers of this process that can train one of these kernels."""
    wanted = {id(kernel) for kernel in kernels}
    types = _subtypes(keras.Model) | _subtypes(keras.optimizers.Optimizer)
    # By the exact type: `isinstance` would ask lazy modules and proxies for theirs.
    candidates = [item for item in gc.get_objects() if type(item) in types]
    models, optimizers = [], []
    for item in candidates:
        if isinstance(item, keras.optimizers.Optimizer):
            if wanted.intersection(map(id, keras_internals.variables_trained_by(item))):
                optimizers.append(item)
        elif getattr(item, "compiled", False) and wanted.intersection(map(id, item.variables)):
            models.append(item)
    return Trainers(models, optimizers)


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """The optimizers of a model: the one it was compiled with, then those in its attributes, as a
    model has that trains two parts by turns."""
    attributes = [value for name, value in vars(model).items() if name != "optimizer"]
    nested = [
        item
        for value in attributes
        for item in (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        )
    ]
    values = [getattr(model, "optimizer", None), *attributes, *nested]
    return outermost(item for item in values if isinstance(item, keras.optimizers.Optimizer))


def outermost(
    optimizers: Iterable[keras.optimizers.Optimizer],
) -> list[keras.optimizers.Optimizer]:
    """Drop repeated optimizers, and those that step inside another one of these."""
    unique = list({id(optimizer): optimizer for optimizer in optimizers}.values())
    inner = {id(part) for optimizer in unique for part in parts(optimizer)[1:]}
    return [optimizer for optimizer in unique if id(optimizer) not in inner]


def parts(optimizer: keras.optimizers.Optimizer) -> list[keras.optimizers.Optimizer]:
    """An optimizer and those inside it: under loss scaling, or one for each group of variables."""
    inner = getattr(optimizer, "inner_optimizer", None)
    inside = ([] if inner is None else [inner]) + list(getattr(optimizer, "optimizers", []))
    return [optimizer, *(part for optimizer_inside in inside for part in parts(optimizer_inside))]


def build_optimizer(model: keras.Model) -> None:
    """Build the optimizer that a model was compiled with, as its first step would.

    Nothing happens while a layer is not built: an optimizer trains the variables that it was built
    over, and a head that only training calls has no variables yet.
    """
    optimizer = getattr(model, "optimizer", None)
    layers = keras_internals.flat_layers(model)
    if optimizer is not None and not optimizer.built and all(layer.built for layer in layers):
        with variables.scope(model):
            optimizer.build(model.trainable_variables)


def steps_of(optimizer: keras.optimizers.Optimizer) -> int:
    """Return the number of steps that an optimizer has taken."""
    return int(keras.ops.convert_to_numpy(optimizer.iterations))


def _subtypes(kind: type) -> set[type]:
    return {kind}.union(*map(_subtypes, kind.__subclasses__()))
