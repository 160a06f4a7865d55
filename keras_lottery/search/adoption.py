"""`adopt` takes the masks that are on a model when a `fit` begins, or makes new ones."""

from collections.abc import Iterable

import keras

from keras_lottery.core import lookup
from keras_lottery.core.recipe import Recipe
from keras_lottery.masks import left_out
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import variables


def adopt(model: keras.Model, own: Lottery | None, recipe: Recipe, seed: int) -> Lottery:
    """Go on from the masks that are on a model, or make some.

    So a cell of a notebook that is run twice goes on from its own masks; a cell that was changed is
    refused, since old masks would not do what it says. Masks stay on the kernels that they were
    made for, with a warning if layers were frozen or unfrozen since.

    Args:
        model: The model.
        own: A `Lottery` that is known to have been made with the arguments here, or `None`.
        recipe: As for `Lottery`.
        seed: As for `Lottery`.

    Raises:
        ValueError: If the model has masks over other kernels, or that hold them at other values.
        MaskError: As from `Lottery.check`.
    """
    attached = Lottery.on(model)
    if attached is None:
        return Lottery(model, recipe, seed=seed)
    if attached is not own:
        names = list(variables.prunable(model, recipe.include, recipe.exclude))
        for what, wanted, present in (
            ("`include` and `exclude`", names, attached.names),
            ("`hold_at`", _held(recipe, attached.names), _held(attached.recipe, attached.names)),
        ):
            if wanted != present:
                raise ValueError(
                    f"The model {model.name!r} has masks already, made with another {what}: "
                    f"{present} there, {wanted} here. Give the same, or use `strip(model)` to take "
                    "them off. (Layers that were frozen or unfrozen since make a difference, too.)"
                )
    else:
        left_out.warn_of_changes(model, attached.names, recipe.include, recipe.exclude)
    attached.attach()
    attached.check()
    return attached


def _held(recipe: Recipe, names: Iterable[str]) -> str | dict[str, str]:
    """The name of the action that holds pruned weights, or a name by kernel if they differ."""
    actions = {n: lookup.name_of(one.hold_at) for n, one in recipe.of_kernels(names).items()}
    return next(iter(actions.values())) if len(set(actions.values())) == 1 else actions
