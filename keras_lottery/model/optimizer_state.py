"""The state of an optimizer by name: each slot by the variable it belongs to, never by position.

Which variables an optimizer trains changes when layers are frozen, compiled anew or built later,
and with it the position of every slot.
"""

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.model import keras_internals, trainers, variables
from keras_lottery.model.arrays import array

# Moving averages of weights go with the weights: only a rewind of these takes them back.
_AVERAGES = "_model_variables_moving_average"


def named(
    optimizer: keras.optimizers.Optimizer, names: Mapping[int, str], mask_ids: Collection[int] = ()
) -> dict[str, keras.Variable]:
    """The variables of an optimizer by name, without the moving averages it keeps of weights.

    Args:
        optimizer: Any optimizer of Keras, built or not.
        names: The names of the model's variables by `id`.
        mask_ids: The `id` of the masks' variables, which are not the optimizer's own.

    Returns:
        A dict from name to variable. A slot is called after its attribute and the variable it
        belongs to (`"_momentums/fc1/kernel"`), anything else after itself (`"iteration"`).
    """
    by_name: dict[str, keras.Variable] = {}
    for number, part in enumerate(trainers.parts(optimizer)):
        hidden = {*mask_ids, *map(id, keras_internals.averages_of(part))}
        own = [v for v in keras_internals.own_variables_of(part) if id(v) not in hidden]
        labels = {}
        trained = keras_internals.variables_trained_by(part)
        for attribute, slots in keras_internals.slots_by_attribute(part).items():
            for variable, slot in zip(trained, slots, strict=True):
                owner = names.get(id(variable), variable.path)
                labels[id(slot)] = f"{attribute}/{owner}"
        for variable in own:
            label, twin = labels.get(id(variable), variable.name), 2
            name = base = f"{number}/{label}"
            while name in by_name:
                name, twin = f"{base}#{twin}", twin + 1
            by_name[name] = variable
    return by_name


def averages(
    optimizer: keras.optimizers.Optimizer, names: Mapping[int, str]
) -> dict[str, keras.Variable]:
    """The moving averages that an optimizer keeps, by the name of the variable they are of."""
    return {
        names.get(id(variable), variable.path): average
        for part in trainers.parts(optimizer)
        for variable, average in zip(
            keras_internals.variables_trained_by(part),
            keras_internals.averages_of(part),
            strict=False,
        )
        if average is not None
    }


def initial(
    optimizer: keras.optimizers.Optimizer, names: Mapping[int, str], model: keras.Model
) -> dict[str, np.ndarray]:
    """The values that `named` finds in an optimizer that has not stepped yet.

    Args:
        optimizer: A built optimizer; it is left as it is.
        names: The names of the model's variables by `id`.
        model: The model, in whose distribution strategy the values are made.

    Returns:
        A dict from name to value. The learning rate is the one the optimizer was made with.

    Raises:
        ValueError: If the optimizer cannot be made anew from its configuration.
    """
    trained = keras_internals.variables_trained_by(optimizer)
    fresh = _fresh(optimizer, trained, model)
    return {name: array(variable) for name, variable in named(fresh, names).items()}


def reset_slots(
    optimizer: keras.optimizers.Optimizer,
    kernel: keras.Variable,
    where: np.ndarray,
    model: keras.Model,
) -> None:
    """Give the slots of some weights of a kernel the values they had before any step.

    Args:
        optimizer: Any optimizer; nothing happens where it does not train the kernel.
        kernel: A variable.
        where: Boolean, the kernel's shape: the weights whose slots are reset.
        model: The kernel's model.

    Raises:
        ValueError: If the optimizer cannot be made anew from its configuration.
    """
    for part in trainers.parts(optimizer):
        trained = [id(variable) for variable in keras_internals.variables_trained_by(part)]
        columns = keras_internals.slots_by_attribute(part)
        if id(kernel) not in trained or not columns:
            continue
        fresh = keras_internals.slots_by_attribute(_fresh(part, [kernel], model))
        for attribute, slots in columns.items():
            slot = slots[trained.index(id(kernel))]
            if attribute == _AVERAGES or slot is None or tuple(slot.shape) != where.shape:
                continue  # Adafactor's factors belong to rows and columns, not to weights.
            values = array(slot)
            values[where] = array(fresh[attribute][0])[where]
            slot.assign(values)


def _fresh(
    optimizer: keras.optimizers.Optimizer, trained: Any, model: keras.Model
) -> keras.optimizers.Optimizer:
    try:
        with variables.scope(model):
            fresh = type(optimizer).from_config(optimizer.get_config())
            if optimizer.built:
                fresh.build(trained)
    except Exception as error:
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} cannot be made anew from its "
            f"`get_config()`, so what its slots began with is not known: {error}"
        ) from error
    return fresh
