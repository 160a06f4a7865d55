"""`import_tfmot(model, into)`: a model that tfmot pruned goes on as a masked Keras 3 model.

tfmot prunes models of `tf_keras`, the Keras before 3. They are read by what their layers have, so
neither of the two is imported here.
"""

import collections
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import assignment, keras_internals, variables

# Weights that Keras 3 calls otherwise.
_RENAMED = {"depthwise_kernel": "kernel"}


def import_tfmot(
    model: Any,
    into: keras.Model,
    recipe: How = Recipe(),  # noqa: B008 (a frozen record)
) -> Lottery:
    """Copy the weights and masks of a model that tfmot pruned into a Keras 3 model.

    Layers are paired by their names, weights by name and shape. All weights come over, those of
    biases and normalisations too. Where the model has no `PruneLowMagnitude` any more, as after
    `strip_pruning` or loaded from a file, weights that are exactly zero count as pruned.

    Args:
        model: A `tf_keras` model after `prune_low_magnitude`, or stripped.
        into: A built Keras 3 model of the same architecture, whose layers have the same names.
        recipe: The recipe to go on with; its `include` and `exclude` say which kernels are masked.
            Defaults to all kernels that `Lottery` masks by default.

    Returns:
        The `Lottery` over `into`. `Ticket.of` makes a ticket of it, `strip` a plain model.

    Raises:
        ValueError: If `model` is a Keras 3 model or none at all, a layer or weight has no partner,
            or tfmot pruned a kernel that `recipe` leaves out. `into` is then unchanged.

    Example:

    >>> from types import SimpleNamespace as Legacy  # in place of tf_keras, which is slow to import
    >>> kernel = Legacy(name="fc1/kernel:0", numpy=lambda: np.array([[3.0], [0.0]]))
    >>> stripped = Legacy(layers=[Legacy(name="fc1", weights=[kernel])])
    >>> dense = keras.layers.Dense(1, use_bias=False, name="fc1")
    >>> lottery = import_tfmot(stripped, keras.Sequential([keras.Input((2,)), dense]))
    >>> lottery.masks["fc1/kernel"].tolist()
    [[True], [False]]
    """
    if isinstance(model, keras.Model):
        raise ValueError(
            f"`model` {model.name!r} is a Keras 3 model already: take up its masks with "
            "`Lottery.from_zeros(model)`."
        )
    if not hasattr(model, "layers"):
        raise ValueError(f"`model` must be a tf_keras model, received {type(model).__name__}.")
    recipe = as_recipe(recipe)
    kernels = variables.prunable(into, recipe.include, recipe.exclude)
    names = {id(variable): name for name, variable in variables.named(into).items()}
    values: dict[str, np.ndarray] = {}
    masks: dict[str, np.ndarray] = {}
    for legacy, layer in _paired(model, into):
        kept = {id(weight): mask.numpy() != 0 for weight, mask, _ in _pruned_by(legacy)}
        for weight, variable in _paired_weights(_inner(legacy), layer):
            name = names[id(variable)]
            values[name] = weight.numpy()
            if id(weight) in kept:
                masks[name] = kept[id(weight)]
                # tfmot masks at the next call what the optimizer has just moved.
                values[name] = np.where(masks[name], values[name], 0)
    if not masks:
        masks = {name: values[name] != 0 for name in kernels}
    if left_out := sorted(set(masks) - set(kernels)):
        raise ValueError(
            f"tfmot pruned {', '.join(left_out)}, and `recipe` leaves them out: choose them by its "
            "`include`."
        )
    if Lottery.on(into) is not None:
        raise ValueError("`into` has masks already: `strip` it, or give a new model.")
    assignment.assign(into, values)
    everything = {name: np.ones(kernel.shape, bool) for name, kernel in kernels.items()}
    return Lottery(into, recipe, masks={**everything, **masks})


def _inner(layer: Any) -> Any:
    """The layer inside `PruneLowMagnitude`, or a layer itself."""
    return layer.layer if _pruned_by(layer) else layer


def _pruned_by(layer: Any) -> list[tuple[Any, Any, Any]]:
    """`(weight, mask, threshold)` of each weight that tfmot prunes in a layer."""
    return list(getattr(layer, "pruning_vars", ()))


def _leaves(model: Any) -> Iterator[Any]:
    """The layers of a tf_keras model that are no models, in order."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        # A layer in which tfmot prunes nothing is wrapped all the same.
        elif type(layer).__name__ == "PruneLowMagnitude" and not _pruned_by(layer):
            yield layer.layer
        else:
            yield layer


def _paired(model: Any, into: keras.Model) -> list[tuple[Any, keras.Layer]]:
    """The layers with weights of both models, by name; of several of one name, in order."""
    theirs = [layer for layer in _leaves(model) if _inner(layer).weights]
    ours = collections.defaultdict(list)
    for layer in keras_internals.flat_layers(into):
        if layer.weights and not isinstance(layer, keras.Model):
            ours[layer.name].append(layer)
    pairs = []
    for layer in theirs:
        name = _inner(layer).name
        if not ours.get(name):
            raise ValueError(
                f"`into` {into.name!r} has no layer {name!r}, as `model` has; layers are paired by "
                f"name, and those of `into` are {', '.join(ours)}."
            )
        pairs.append((layer, ours[name].pop(0)))
    taken = {id(weight) for _, layer in pairs for weight in layer.weights}
    named = {id(variable): name for name, variable in variables.named(into).items()}
    missing = [named[id(weight)] for weight in into.weights if id(weight) not in taken]
    if missing:
        raise ValueError(
            f"`model` has no layers for {', '.join(missing)} of `into` {into.name!r}: layers are "
            "paired by name."
        )
    return pairs


def _paired_weights(legacy: Any, layer: keras.Layer) -> list[tuple[Any, keras.Variable]]:
    """The weights of two layers of one name, in order, if names and shapes agree."""
    theirs = [(_last(weight.name), tuple(weight.numpy().shape)) for weight in legacy.weights]
    ours = [(_last(weight.path), tuple(weight.shape)) for weight in layer.weights]
    if theirs != ours:
        raise ValueError(
            f"The layer {layer.name!r} has the weights {theirs} in `model` and {ours} in `into`: "
            "they cannot be paired."
        )
    return list(zip(legacy.weights, layer.weights, strict=True))


def _last(name: str) -> str:
    """The last part of a weight's name, as Keras 3 calls it."""
    part = name.split(":")[0].rsplit("/", 1)[-1]
    return _RENAMED.get(part, part)
