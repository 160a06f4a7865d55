"""`ScoredNetwork`: a network whose scores learn, and whose weights do not."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.core import lookup, restart_from
from keras_lottery.core.kernel import Kernel, check_seed
from keras_lottery.core.streams import seed_of, stream
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import variables
from keras_lottery.model.around import ModelAround
from keras_lottery.model.arrays import array
from keras_lottery.tickets import metadata
from keras_lottery.tickets.ticket import Ticket


@dataclasses.dataclass(frozen=True)
class Method:
    """How scores make a network.

    Args:
        name: What finds the ticket, for the record.
        settings: JSON-able settings, for the record.
        begin: `(shape, rng) -> scores`, before any training.
        values: `(starts, scores, training, seeds) -> values`: from tensors of the kernels' start
            values and of their scores what the kernels are in the forward pass, with the gradients
            that go back to the scores. `seeds` is a `keras.random.SeedGenerator`.
        masks: `(scores, rng) -> masks`: the boolean masks that the network ends in, from arrays.
        starts: `(starts, masks) -> values`: what the live weights of the ticket are.
        scale: What start values are multiplied by.
    """

    name: str
    settings: Mapping[str, Any]
    begin: Callable[[tuple[int, ...], np.random.Generator], np.ndarray]
    values: Callable[[Sequence[Any], Sequence[Any], bool, Any], list[Any]]
    masks: Callable[[Sequence[np.ndarray], np.random.Generator], list[np.ndarray]]
    starts: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[np.ndarray]]
    scale: float = 1.0


class ScoredNetwork(ModelAround):
    """A model around another one, whose kernels are masked by scores that learn.

    Compile it and train it as any model: only the scores are trained. The kernels, biases and all
    other trainable weights of the model inside stay as they are, bit for bit; the statistics of its
    normalisations move. Nothing of it is replaced.

    Args:
        model: A built `keras.Model` without masks.
        method: How scores make a network.
        restart_from: What the kernels' values are meanwhile: a function of
            `keras_lottery.restart_from` or its name.
        include: Which kernels have scores, as for `Recipe`.
        exclude: Which of those have none, likewise.
        seed: Seed of the first scores and of every other random choice.

    Raises:
        ValueError: If the model is not built, has masks, or nothing matched.
    """

    def __init__(
        self,
        model: keras.Model,
        method: Method,
        restart_from: str | Callable[[Kernel], np.ndarray],
        include: variables.Selector | None,
        exclude: variables.Selector | None,
        seed: int,
    ):
        check_seed(seed)
        kernels = variables.prunable(model, include, exclude)
        if Lottery.on(model) is not None:
            raise ValueError(
                f"The model {model.name!r} has masks: use `strip(model)` to take them off."
            )
        super().__init__(model, name=f"{model.name}_{method.name}")
        self._method = method
        self._seed = seed
        self._kernel_names = list(kernels)
        self._restart_from = restart_from
        starts = _starts(model, kernels, restart_from, method.scale, seed)
        with variables.scope(model):
            self._starts = [
                self.add_weight(
                    name=f"start_{index}",
                    shape=values.shape,
                    dtype="float32",
                    initializer=_constant(values),
                    trainable=False,
                )
                for index, values in enumerate(starts)
            ]
            self.trained = [
                self.add_weight(
                    name=f"score_{index}",
                    shape=values.shape,
                    dtype="float32",
                    initializer=_constant(
                        method.begin(values.shape, stream(seed, "scores", index))
                    ),
                )
                for index, values in enumerate(starts)
            ]
            self._seeds = keras.random.SeedGenerator(seed_of(seed, "masks") % 2**31)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """What the model inside computes with its kernels as the scores make them."""
        values = self._method.values(
            [start.value for start in self._starts],
            [score.value for score in self.trained],
            bool(training),
            self._seeds,
        )
        named = variables.named(self.inner)
        ours = {
            id(named[name]): value for name, value in zip(self._kernel_names, values, strict=True)
        }
        # On JAX a variable has its value of the step only where the mapping says so.
        mapping = [(v, ours.get(id(v), v.value)) for v in self.inner.variables]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = self.inner(inputs, training=training)
        for variable in self.inner.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
        return outputs

    # What was found.

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """The scores by kernel name."""
        arrays = (np.array(array(score)) for score in self.trained)
        return dict(zip(self._kernel_names, arrays, strict=True))

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """The masks that the scores end in, by kernel name: `True` where a weight is alive."""
        rng = stream(self._seed, "end")
        found = self._method.masks(list(self.scores.values()), rng)
        return dict(zip(self._kernel_names, found, strict=True))

    @property
    def sparsity(self) -> float:
        """The fraction of all weights with scores that is masked."""
        masks = self.masks.values()
        alive = sum(int(np.count_nonzero(mask)) for mask in masks)
        return 1 - alive / sum(mask.size for mask in masks)

    @property
    def ticket(self) -> Ticket:
        """The masks, and the values that the scores were trained over: applied to the model inside,
        it computes what this one does in inference."""
        masks = self.masks
        starts = [np.array(array(start)) for start in self._starts]
        live = self._method.starts(starts, list(masks.values()))
        named = variables.named(self.inner)
        values = {name: np.array(array(variable)) for name, variable in named.items()}
        for name, value in zip(self._kernel_names, live, strict=True):
            values[name] = value.astype(values[name].dtype)
        found = {
            "door": self._method.name,
            **self._method.settings,
            "restart_from": lookup.name_of(lookup.get(restart_from, self._restart_from)),
        }
        return Ticket(masks, values, metadata.of_scores(found, self._seed, self.sparsity))


def _starts(
    model: keras.Model,
    kernels: Mapping[str, keras.Variable],
    action: str | Callable[[Kernel], np.ndarray],
    scale: float,
    seed: int,
) -> list[np.ndarray]:
    function = lookup.get(restart_from, action)
    starts = []
    for index, (name, kernel) in enumerate(kernels.items()):
        values = np.array(array(kernel))
        record = Kernel(
            name=name,
            current=values,
            initial=values,
            mask=np.ones(values.shape, bool),
            previous=values,
            rng=stream(seed, "restart", index),
            draw=variables.initializer(model, kernel),
        )
        starts.append(np.asarray(function(record), "float32") * np.float32(scale))
    return starts


def _constant(values: np.ndarray) -> Callable[..., Any]:
    def initializer(shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(values, dtype)

    return initializer
