"""Layers for the training alone, put into a network: random images in front, dropout inside."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

# The names that `--augmentation` takes. In evaluation and in an exported file they do nothing.
LAYERS = {
    "flip": lambda seed: layers.RandomFlip("horizontal", seed=seed, name="random_flip"),
    "shift": lambda seed: layers.RandomTranslation(
        0.1, 0.1, fill_mode="constant", seed=seed, name="random_shift"
    ),
}


def check(names: Sequence[str]) -> None:
    """Raise a `ValueError` if there is no such augmentation."""
    for name in names:
        if name not in LAYERS:
            raise ValueError(f"No augmentation {name!r}; there are {', '.join(LAYERS)}.")


def added(
    network: keras.Model, augmentation: Sequence[str], dropout: float, seed: int
) -> keras.Model:
    """Return a network with random images in front of its first layer, and with dropout.

    Args:
        network: A `keras.Model` of one input, whose initializers all have seeds.
        augmentation: Names of `LAYERS`.
        dropout: The rate of dropout after every ReLU; 0 for none.
        seed: Seed of all random choices.

    Returns:
        A `keras.Model` of layers of its own, with the same names and initial weights; the network
        itself if nothing is to be added.
    """
    if not augmentation and not dropout:
        return network
    in_front = [LAYERS[name](seed) for name in augmentation]

    def call(layer: keras.Layer, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        while in_front:
            inputs = in_front.pop(0)(inputs)
        outputs = layer(inputs, *args, **kwargs)
        if dropout and _ends_in_relu(layer):
            outputs = layers.Dropout(dropout, seed=seed, name=f"{layer.name}_dropout")(outputs)
        return outputs

    functional = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    return keras.models.clone_model(functional, call_function=call)


def _ends_in_relu(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.ReLU) or (
        getattr(layer, "activation", None) is keras.activations.relu
    )
