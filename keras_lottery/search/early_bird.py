"""`EarlyBird`: stop training when the ticket can be told."""

from typing import Any

import keras
import numpy as np

from keras_lottery import scorers
from keras_lottery.core import event, lookup, scopes
from keras_lottery.core.kernel import Kernel
from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.core.streams import stream
from keras_lottery.model import variables
from keras_lottery.model.arrays import array


class EarlyBird(keras.callbacks.Callback):
    """Stops `fit` at the epoch at which the masks that would be drawn have stopped moving.

    After every epoch the masks at `sparsity` are drawn, without being applied. When the last
    `masks` of them are alike, training stops: then prune (`Lottery(model, masks=bird.masks)`) and
    train on (You et al. 2020, "Drawing Early-Bird Tickets", section 3,
    https://arxiv.org/abs/1909.11957, for whole channels). The distance of two masks is the share of
    weights in which they differ, divided by the most that it can be at this sparsity, `2 *
    min(sparsity, 1 - sparsity)`: so it means the same at every sparsity.

    Args:
        sparsity: The sparsity at which to draw, in (0, 1).
        recipe: What ranks the weights: a criterion that needs no data, a scope and a granularity.
        masks: How many successive masks have to be alike.
        below: The distance below which two are.

    Raises:
        ValueError: If an argument is wrong.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> model.compile(keras.optimizers.SGD(1e-3), "mse")
    >>> bird = EarlyBird(0.5, masks=3)
    >>> x = np.ones((8, 4))
    >>> history = model.fit(x, x[:, :3], epochs=10, verbose=0, callbacks=[bird])
    >>> bird.epoch, len(bird.distances)
    (3, 2)
    """

    def __init__(
        self,
        sparsity: float,
        recipe: How = Recipe(scope="globally"),  # noqa: B008 (a frozen record)
        *,
        masks: int = 5,
        below: float = 0.1,
    ) -> None:
        super().__init__()
        if isinstance(sparsity, bool) or not 0 < sparsity < 1:
            raise ValueError(f"`sparsity` must be in (0, 1), received {sparsity!r}.")
        if isinstance(masks, bool) or not isinstance(masks, int) or masks < 2:
            raise ValueError(f"`masks` must be 2 or more, received {masks!r}.")
        if isinstance(below, bool) or not 0 < below <= 1:
            raise ValueError(f"`below` must be in (0, 1], received {below!r}.")
        self.recipe = as_recipe(recipe)
        if self.recipe.otherwise or scorers.is_scorer(scorers.resolve(self.recipe.criterion)):
            raise ValueError(
                f"`recipe` is {self.recipe!r}: masks are drawn by one criterion without data."
            )
        self.sparsity = sparsity
        self.count = masks
        self.below = below
        self.masks: dict[str, np.ndarray] = {}  # those that were drawn last
        self.distances: list[float] = []  # of each epoch's masks from those before
        self.epoch: int | None = None  # how many epochs were trained when it stopped

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Remember the weights that the criterion may look back at."""
        self._kernels = variables.prunable(self.model, self.recipe.include, self.recipe.exclude)
        self._start = {name: np.array(array(one)) for name, one in self._kernels.items()}
        self.masks, self.distances, self.epoch = {}, [], None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw the masks, and stop if they have not moved for long enough."""
        before, self.masks = self.masks, self._drawn(epoch)
        if before:
            self.distances.append(self._distance(before, self.masks))
            if logs is not None:
                logs["mask_distance"] = self.distances[-1]
        recent = self.distances[-(self.count - 1) :]
        if len(recent) == self.count - 1 and max(recent) < self.below:
            self.epoch = epoch + 1
            self.model.stop_training = True

    def _drawn(self, epoch: int) -> dict[str, np.ndarray]:
        # On JAX the variables are empty while an epoch runs: reading `Callback.model` fills them.
        model = self.model
        records = [
            Kernel(
                name=name,
                current=np.array(array(kernel)),
                initial=self._start[name],
                mask=np.ones(kernel.shape, bool),
                previous=self._start[name],
                # By position, not by name: Keras numbers unnamed layers anew in every build.
                rng=stream(0, "early bird", epoch, position),
                draw=variables.initializer(model, kernel),
            )
            for position, (name, kernel) in enumerate(self._kernels.items())
        ]
        return event.prune(
            records,
            sparsity=self.sparsity,
            criterion=scorers.resolve(self.recipe.criterion),
            scope=lookup.get(scopes, self.recipe.scope),
            granularity=self.recipe.granularity,
        )

    def _distance(self, one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
        pairs = [(one[name], other[name]) for name in one]
        differing = sum(int(np.count_nonzero(first != second)) for first, second in pairs)
        size = sum(first.size for first, _ in pairs)
        return differing / size / (2 * min(self.sparsity, 1 - self.sparsity))
