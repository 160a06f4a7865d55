"""`strip` makes a plain Keras model of a pruned one."""

import weakref

import keras
import numpy as np

from keras_lottery.masks import gradients, integrity
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.masking import MaskError
from keras_lottery.model import variables
from keras_lottery.model.arrays import array

# How many weights of each kernel were not zero when a model was stripped, by name.
_stripped: weakref.WeakKeyDictionary[keras.Model, dict[str, int]] = weakref.WeakKeyDictionary()


def strip(model: keras.Model, *, at_least: float = 0.0) -> keras.Model:
    """Verify the masks of a model and take them off. The zeros stay in its weights.

    A model that was stripped before and still has all its zeros is returned as it is.

    Args:
        model: A model with masks, as `Prune`, `rounds`, `Ticket.apply` or `Lottery` leave it.
        at_least: The sparsity, in [0, 1], that the masked kernels must have together, so that no
            denser model is shipped by mistake, such as that of an earlier epoch. Give the target of
            `Prune`: like it, `at_least` is rounded to whole weights in each kernel.

    Returns:
        The same model, without masks.

    Raises:
        ValueError: If the model has no masks, or was trained densely since it was stripped, or is
            denser.
        MaskError: If a pruned weight does not have the value it is held at, or has another one in
            the kernel that its layer computes with, as with LoRA; or the masked kernels were
            replaced.

    Example:

    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(5)])
    >>> Lottery(model).prune(0.5)
    >>> int((strip(model, at_least=0.5).layers[0].kernel.numpy() == 0).sum())
    25
    """
    lottery = Lottery.on(model)
    if lottery is None:
        _refuse_not_stripped(model)
        refuse_denser(model, at_least)
        return model
    refuse_denser(model, at_least)
    revived = lottery.revived_by_adapters()
    if revived:
        raise MaskError(integrity.adapters_message(revived, lottery.masks))
    lottery.check()
    lottery.detach()
    _stripped[model] = _nonzero(model)
    return model


def _refuse_not_stripped(model: keras.Model) -> None:
    """Raise an error unless a model without masks is as `strip` left it."""
    for lottery in gradients.attached_to(model):
        lottery.check()  # Its kernels were replaced, and the masks went with them.
    before = _stripped.get(model)
    if before is None:
        raise ValueError(
            f"The model {model.name!r} has no masks to strip. (`quantize`, and building layers "
            "anew, replace kernels and lose their masks: call `strip` before.)"
        )
    now = _nonzero(model)
    if any(now.get(name, 0) > count for name, count in before.items()):
        raise ValueError(
            f"The model {model.name!r} has no masks to strip: it was stripped before, and trained "
            "without them since, which brought pruned weights back."
        )


def _nonzero(model: keras.Model) -> dict[str, int]:
    return {
        name: int(np.count_nonzero(array(variable)))
        for name, variable in variables.candidates(model).items()
    }


def refuse_denser(model: keras.Model, at_least: float) -> None:
    """Raise a `ValueError` if a model is denser than it should be.

    Args:
        model: A built `keras.Model`. If it has masks, they count; if it has none, the zeros in all
            kernels that could be pruned.
        at_least: The sparsity that it should have, in [0, 1].

    Raises:
        ValueError: If the sparsity of the model is lower, or `at_least` is not in [0, 1].
    """
    if not 0 <= at_least <= 1:
        raise ValueError(f"`at_least` is {at_least!r}; a sparsity must be in [0, 1].")
    if not at_least:
        return
    lottery = Lottery.on(model)
    if lottery is None:
        kernels = variables.prunable(model)
        alive = {name: keras.ops.convert_to_numpy(kernel) != 0 for name, kernel in kernels.items()}
    else:
        alive = lottery.masks
    size = sum(mask.size for mask in alive.values())
    pruned = size - sum(int(np.count_nonzero(mask)) for mask in alive.values())
    # What is asked for is rounded to whole weights in each kernel.
    if pruned + len(alive) / 2 < at_least * size:
        by_kernel = ", ".join(f"{name} {1 - mask.mean():.4g}" for name, mask in alive.items())
        raise ValueError(
            f"The model {model.name!r} has a sparsity of {pruned / size:.4g}, less than "
            f"`at_least={at_least:.4g}`: {by_kernel}. Were these the weights of an epoch before "
            "the last pruning?"
        )
