"""Networks by name: each file of this folder has `build(shape, classes, seed)` and a `PRESET`.

`build` returns an uncompiled `keras.Model` from images of `shape` (height, width, channels) to the
logits of `classes` classes. All its layers are named, the last one "output", and the same seed
gives the same initial weights. `PRESET` says how the paper trained and pruned it.
"""

import importlib
import pkgutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

import keras


@dataclass(frozen=True)
class Preset:
    """The paper's way to train and prune a network.

    Attributes:
        optimizer: A function from the number of iterations to a fresh optimizer.
        batch_size: Examples an iteration.
        iterations: Training steps a round.
        rate: The fraction of the live weights that every round prunes.
        overrides: Other rates by a regular expression on the kernel's name.
        scope: The scope of the rates: "layerwise" or "globally".
        exclude: A regular expression on the names of kernels that are never pruned, or `None`.
        validation: The number of training examples to set aside.
        evaluate_every: Iterations between two evaluations.
    """

    optimizer: Callable[[int], keras.optimizers.Optimizer]
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


def adam(learning_rate: float) -> Callable[[int], keras.optimizers.Optimizer]:
    """Make a `Preset.optimizer`: Adam with a constant learning rate."""
    return lambda iterations: keras.optimizers.Adam(learning_rate)


def momentum(
    peak: float, warm_up: float, drops: tuple[float, ...]
) -> Callable[[int], keras.optimizers.Optimizer]:
    """Make a `Preset.optimizer`: SGD with momentum 0.9 and a learning rate in steps.

    Args:
        peak: The highest learning rate.
        warm_up: The fraction of the training during which the rate rises to `peak`, in ten equal
            steps; 0 for none.
        drops: The fractions of the training after which the rate is divided by ten.
    """

    def optimizer(iterations: int) -> keras.optimizers.Optimizer:
        # Nine steps up below the peak, and then down: one boundary fewer than learning rates.
        rises = range(1, 10) if warm_up else ()
        boundaries = [*(warm_up * step / 10 for step in rises), *drops]
        rates = [*(step / 10 for step in rises), *(0.1**drop for drop in range(len(drops) + 1))]
        # Keras's own schedule, so that a saved model loads without this package.
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [round(iterations * boundary) for boundary in boundaries],
            [peak * rate for rate in rates],
        )
        return keras.optimizers.SGD(schedule, momentum=0.9)

    return optimizer
