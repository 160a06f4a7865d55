"""The masks that are on a model when a `fit` begins, or new ones."""

from collections.abc import Callable

import keras

from keras_lottery.core import lookup
from keras_lottery.masks import left_out
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import variables


def adopt(
    model: keras.Model,
    own: Lottery | None,
    include: variables.Selector | None,
    exclude: variables.Selector | None,
    pruned: Callable,
    seed: int,
) -> Lottery:
    """Go on from the masks that are on a model, or make some.

    A cell of a notebook that is run twice goes on; one that was changed would not do what it says.
    Masks stay on the kernels that they were made for, with a warning where layers were frozen or
    unfrozen since.

    Args:
        model: The model.
        own: A `Lottery` that is known to have been made with the arguments here, or `None`.
        include: As for `Lottery`, as are the others.
        exclude: Likewise.
        pruned: Likewise.
        seed: Likewise.

    Raises:
        ValueError: If the model has masks that were made with other arguments.
        MaskError: As from `Lottery.check`.
    """
    attached = Lottery.of(model)
    if attached is None:
        return Lottery(model, include, exclude, pruned, seed)
    if attached is not own:
        names = list(variables.prunable(model, include, exclude))
        for what, ours, theirs in (
            ("`include` and `exclude`", names, attached.names),
            ("`pruned`", *(lookup.name_of(action) for action in (pruned, attached.pruned))),
        ):
            if ours != theirs:
                raise ValueError(
                    f"The model {model.name!r} has masks already, made with another {what}: "
                    f"{theirs} there, {ours} here. Give the same, or use `strip(model)` to take "
                    "them off. (Layers that were frozen or unfrozen since make a difference, too.)"
                )
    else:
        left_out.warn_of_changes(model, attached.names, include, exclude)
    attached.attach()
    attached.check()
    return attached
