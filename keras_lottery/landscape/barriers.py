"""`barrier`: the line between two networks."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.model import assignment, keras_internals, variables
from keras_lottery.model.arrays import array
from keras_lottery.training.recalibrate import recalibrate

# The share of examples by which a stable network's error may rise (section 2).
STABLE = 0.02


@dataclasses.dataclass(frozen=True)
class Barrier:
    """What lies between two networks.

    Attributes:
        positions: How far each point is from the first network to the second, 0 to 1.
        losses: The loss there.
        errors: The share of examples that are answered wrongly; `None` where the model has no
            accuracy among its metrics.
    """

    positions: tuple[float, ...]
    losses: tuple[float, ...]
    errors: tuple[float, ...] | None

    @property
    def loss(self) -> float:
        """The highest loss, less the mean of the two ends; 0 where no point is higher."""
        return _height(self.losses)

    @property
    def error(self) -> float | None:
        """The same of the errors, a share: 0.02 are two points."""
        return None if self.errors is None else _height(self.errors)

    @property
    def stable(self) -> bool:
        """Whether the error barrier is below two points.

        Raises:
            ValueError: If there are no errors.
        """
        if self.error is None:
            raise ValueError(
                "Stable is what has an error barrier below 0.02: compile the model with "
                "metrics=['accuracy']."
            )
        return self.error < STABLE


def _height(values: Sequence[float]) -> float:
    return max(0.0, max(values) - (values[0] + values[-1]) / 2)


def barrier(
    first: keras.Model,
    second: keras.Model,
    data: Any,
    *,
    points: int = 30,
    statistics: str = "re-estimated",
    batch_size: int = 256,
) -> Barrier:
    """Measures the loss and the error along the line between two networks (section 2).

    All weights are interpolated. The statistics of BatchNormalization mean nothing between two
    networks, so at every point they are estimated anew from `data`, at the ends too.

    Args:
        first: A compiled `keras.Model`. It is used for all points, and is left as it was.
        second: Another one of the same architecture.
        data: A pair of arrays `(x, y)`.
        points: How many points, the ends included.
        statistics: `"re-estimated"`, or `"interpolated"` as the weights are. Without
            BatchNormalization it makes no difference.
        batch_size: How many examples make a batch.

    Returns:
        A `Barrier`.

    Raises:
        ValueError: If an argument is wrong, the architectures differ, or the first model is not
            compiled.

    Example:

    >>> def make(value):
    ...     start = keras.initializers.Constant(value)
    ...     layer = keras.layers.Dense(1, use_bias=False, kernel_initializer=start)
    ...     model = keras.Sequential([keras.Input((1,)), layer])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> found = barrier(make(-1.0), make(1.0), (np.ones((4, 1)), np.zeros((4, 1))), points=3)
    >>> found.losses, found.loss
    ((1.0, 0.0, 1.0), 0.0)
    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise ValueError(f"`points` must be 2 or more, received {points!r}.")
    if statistics not in ("re-estimated", "interpolated"):
        raise ValueError(
            f"`statistics` must be 're-estimated' or 'interpolated', received {statistics!r}."
        )
    if not isinstance(data, tuple) or len(data) != 2:
        raise ValueError(f"`data` must be a pair of arrays (x, y), received {type(data).__name__}.")
    if not first.compiled:
        raise ValueError(f"The model {first.name!r} must be compiled: its loss is measured.")
    start, end = values_of(first), values_of(second)
    names = variables.names_in({n: v.shape for n, v in end.items()}, first)
    end = {names[name]: value for name, value in end.items()}
    renews = statistics == "re-estimated" and any(
        isinstance(layer, keras.layers.BatchNormalization)
        for layer in keras_internals.flat_layers(first)
    )
    positions = tuple(float(position) for position in np.linspace(0, 1, points))
    results = []
    with _left_as_it_was(first):
        for position in positions:
            between = {name: _between(value, end[name], position) for name, value in start.items()}
            assignment.assign(first, between)
            if renews:
                recalibrate(first, data, batch_size)
            results.append(
                first.evaluate(*data, batch_size=batch_size, verbose=0, return_dict=True)
            )
    losses = tuple(float(result["loss"]) for result in results)
    accuracy = next((name for name in results[0] if "accuracy" in name), None)
    errors = accuracy and tuple(1 - float(result[accuracy]) for result in results)
    return Barrier(positions, losses, errors or None)


def values_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of all variables of a model, by name."""
    return {name: np.array(array(one)) for name, one in variables.named(model).items()}


def _between(start: np.ndarray, end: np.ndarray, position: float) -> np.ndarray:
    if not np.issubdtype(start.dtype, np.inexact):
        return start  # states of random generators and other counts
    return ((1 - position) * start + position * end).astype(start.dtype)


@contextlib.contextmanager
def _left_as_it_was(model: keras.Model) -> Iterator[None]:
    before = values_of(model)
    try:
        yield
    finally:
        assignment.assign(model, before)
