"""`shrink(model)`: the same answers from a smaller network, without the units that are dead."""

import keras

from keras_lottery.masks import gradients
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.shrink.plan import plan
from keras_lottery.masks.shrink.rebuild import rebuilt
from keras_lottery.masks.shrink.report import ShrinkReport, report_of

__all__ = ["ShrinkReport", "shrink", "shrink_report"]


def shrink(model: keras.Model) -> keras.Model:
    """Make a smaller model that computes the same: without the units that are dead.

    A unit (a neuron, a channel) is dead if it has no live input: then it is constant, and what it
    adds to the next layer moves into that layer's bias. It is dead if it has no live output, too:
    then nothing reads it. Both are repeated until no unit is dead. A weight is dead where it is
    exactly zero, whether the model has masks, was stripped of them or never had any.

    In Dense and convolutional layers units are removed, and through BatchNormalization (with its
    moving statistics), activations, pooling, Flatten, Dropout, depthwise convolutions, additions
    and concatenations they are followed, in Sequential and functional models. What is added stays
    where either side needs it. Inputs and outputs of the model stay. Every other layer is left as
    it is, with the units that it takes and gives; `shrink_report` says which and why. A model
    inside the model is shrunk for itself.

    Where a convolution pads with zeros, no bias is equal to a constant unit, since the constant is
    not in the padding. One such unit stays and takes over the weights of the others.

    The outputs are those of the model to the rounding of its dtype: in float32 they differ by less
    than 1e-5 of the largest.

    Args:
        model: A built Sequential or functional model. It stays as it is.

    Returns:
        A new model with the same names of layers, not compiled, without masks.

    Raises:
        ValueError: If `model` is of another kind, Keras cannot copy a layer, or so much is pruned
            that the outputs are the same for every input.
        MaskError: If the model has masks and they do not hold, as from `Lottery.check`.

    Example:

    >>> from keras_lottery import Recipe, granularity
    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(10, "relu", name="fc1"),
    ...         keras.layers.Dense(2, name="output"),
    ...     ]
    ... )
    >>> Lottery(model, Recipe(exclude="output", granularity=granularity.units())).prune(0.7)
    >>> shrink(model).get_layer("fc1").units
    3
    """
    _check_masks(model)
    return rebuilt(model, plan(model))


def shrink_report(model: keras.Model) -> ShrinkReport:
    """Say what `shrink` does to a model, and what it leaves and why, without doing it.

    Args:
        model: As for `shrink`.

    Returns:
        A `ShrinkReport`: units of each layer, weights and multiplications before and afterwards,
            and notes. Printed, it is a table.

    Raises:
        ValueError: As from `shrink`, but for layers that Keras cannot copy.
        MaskError: As from `shrink`.

    Example:

    >>> dense = keras.layers.Dense(2, name="fc1", kernel_initializer="zeros")
    >>> output = keras.layers.Dense(1, use_bias=False, name="output")
    >>> model = keras.Sequential([keras.Input((3,)), dense, output])
    >>> _ = dense.kernel.assign([[1, 0], [1, 0], [1, 0]])
    >>> print(shrink_report(model))
                     before  after
    units of fc1          2      1
    units of output       1      1
    weights              10      5
    multiplications       8      4
    """
    _check_masks(model)
    return report_of(model, plan(model))


def _check_masks(model: keras.Model) -> None:
    """Verify the masks of a model, if it has some."""
    if not isinstance(model, keras.Model):
        return
    lottery = Lottery.on(model)
    for owner in gradients.attached_to(model) if lottery is None else [lottery]:
        owner.check()
