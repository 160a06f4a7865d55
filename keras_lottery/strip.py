"""`strip`: a plain Keras model out of a pruned one."""

import keras

from keras_lottery.lottery import Lottery


def strip(model: keras.Model) -> keras.Model:
    """Verify the masks of a model and take them off. The zeros stay in its weights.

    Args:
        model: A model with masks, as `Prune`, `rounds`, `Ticket.apply` or `Lottery` leave it.

    Returns:
        The same model, plain again.

    Raises:
        ValueError: If the model has no masks.
        MaskError: If a pruned weight does not have the value it is held at.

    Example:

    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(5)])
    >>> Lottery(model).prune(0.5)
    >>> int((strip(model).layers[0].kernel.numpy() == 0).sum())
    25
    """
    lottery = Lottery.of(model)
    if lottery is None:
        raise ValueError(f"The model {model.name!r} has no masks to strip.")
    lottery.check()
    lottery.detach()
    return model
