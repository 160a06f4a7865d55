"""Networks by name: each file of this folder has `build(shape, classes, seed)` and a `PRESET`.

`build` returns an uncompiled `keras.Model` from images of `shape` (height, width, channels) to the
logits of `classes` classes. All its layers are named, the last one "output", and the same seed
gives the same initial weights. `PRESET` says how the paper trained and pruned it.
"""

import importlib
import math
import pkgutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

import keras


@dataclass(frozen=True)
class Optimizer:
    """An optimizer in plain settings, before the length of the training is known.

    Args:
        name: `"momentum"`, which is SGD with momentum 0.9, or an optimizer of Keras, such as
            `"adam"`, `"sgd"` or `"adamw"`.
        learning_rate: The learning rate at its highest.
        warm_up: The fraction of the training during which the rate rises to its highest, in ten
            equal steps; 0 for none.
        drops: The fractions of the training after which the rate is divided by ten.
        cosine: Whether the rate then goes down to zero along a cosine, over the whole training.
        weight_decay: The decoupled weight decay a step, as Keras' optimizers take it.

    Raises:
        ValueError: If a number is out of range; from `make`, if Keras has no such optimizer.
    """

    name: str
    learning_rate: float
    warm_up: float = 0.0
    drops: tuple[float, ...] = ()
    cosine: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Refuses what cannot be made."""
        object.__setattr__(self, "drops", tuple(self.drops))
        if self.cosine and (self.warm_up or self.drops):
            raise ValueError("`cosine` goes with neither `warm_up` nor `drops`.")
        for setting, highest in (("learning_rate", math.inf), ("weight_decay", 1.0)):
            value = getattr(self, setting)
            if not 0 <= value < highest:
                raise ValueError(
                    f"`{setting}` must be 0 or more and below {highest}, received {value!r}."
                )

    def make(self, iterations: int) -> keras.optimizers.Optimizer:
        """Make a fresh optimizer for a training of so many iterations."""
        rate = self.learning_rate
        # Keras's own schedules, so that a saved model loads without this package.
        if self.cosine:
            rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, iterations)
        if self.warm_up or self.drops:
            # Nine steps up below the peak, and then down: one boundary fewer than learning rates.
            rises = range(1, 10) if self.warm_up else ()
            boundaries = [*(self.warm_up * step / 10 for step in rises), *self.drops]
            rates = [*(step / 10 for step in rises), *(0.1**n for n in range(len(self.drops) + 1))]
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(
                [round(iterations * boundary) for boundary in boundaries],
                [self.learning_rate * rate for rate in rates],
            )
        if self.name == "momentum":
            name, config = "sgd", {"learning_rate": rate, "momentum": 0.9}
        else:
            name, config = self.name, {"learning_rate": rate}
        if self.weight_decay:
            config["weight_decay"] = self.weight_decay
        try:
            # By its name alone first: `get` answers an unknown one best.
            return type(keras.optimizers.get(name))(**config)
        except ValueError as error:
            raise ValueError(
                f"No optimizer {self.name!r}; there are momentum and those of Keras, such as adam, "
                "sgd and adamw."
            ) from error


@dataclass(frozen=True)
class Preset:
    """The paper's way to train and prune a network.

    Attributes:
        optimizer: The optimizer and its learning rate.
        batch_size: Examples an iteration.
        iterations: Training steps a round.
        rate: The fraction of the live weights that every round prunes.
        overrides: Other rates by a regular expression on the kernel's name.
        scope: The scope of the rates: "layerwise" or "globally".
        exclude: A regular expression on the names of kernels that are never pruned, or `None`.
        validation: The number of training examples to set aside.
        evaluate_every: Iterations between two evaluations.
    """

    optimizer: Optimizer
    batch_size: int
    iterations: int
    rate: float
    overrides: Mapping[str, float] = field(default_factory=dict)
    scope: str = "layerwise"
    exclude: str | None = None
    validation: int = 5_000
    evaluate_every: int = 100


def names() -> list[str]:
    """Return the networks' names: the files of this folder that do not begin with `_`."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_"))


def get(name: str) -> ModuleType:
    """Return the module of a network, with its `build` and its `PRESET`.

    Raises:
        ValueError: If there is no such network, listing those there are.
    """
    if name not in names():
        raise ValueError(f"No network {name!r}; there are {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}")


def glorot(seed: int, layer: str) -> keras.initializers.Initializer:
    """Make a Gaussian Glorot initializer, with its own noise for every layer's name and seed."""
    return keras.initializers.GlorotNormal(seed=zlib.crc32(f"{seed}/{layer}".encode()))
