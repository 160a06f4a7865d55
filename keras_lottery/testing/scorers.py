"""The contract suite for a scorer."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lottery import scorers
from keras_lottery.masks.lottery import Lottery


def check_scorer(scorer: Callable[..., dict[str, Any]]) -> None:
    """Check that a function scores a model's kernels as a scorer has to.

    Its arguments tell it from a criterion. It scores every kernel of a small classifier with finite
    values of the kernel's shape, the same for the same generator, and leaves the model, its
    optimizer and its masks as they were.

    Args:
        scorer: A function `(model, data, rng) -> {kernel name: scores}`, where `data` is a pair of
            arrays, or `None` if it is annotated so.

    Raises:
        AssertionError: If it breaks one of these promises; the message says which.

    Example:

    >>> from keras_lottery.scorers.snip import snip
    >>> check_scorer(snip)
    """
    assert scorers.is_scorer(scorer), f"{scorer} must take (model, data, rng)"
    model, samples = _classifier()
    data = samples if scorers.needs_data(scorer) else None
    lottery = Lottery(model)
    lottery.prune(0.3)
    before = _state(model)
    scores_by_name, again = (scorer(model, data, np.random.default_rng(7)) for _ in range(2))
    assert all(map(np.array_equal, before, _state(model))), f"{scorer} changed the model"
    lottery.check()
    for name, mask in lottery.masks.items():
        assert name in scores_by_name, f"{scorer} has no scores for {name!r}"
        scores = np.asarray(scores_by_name[name])
        assert scores.shape == mask.shape, f"{scorer} has scores of shape {scores.shape} for {name}"
        assert np.isfinite(scores).all(), f"{scorer} has scores that are not finite for {name!r}"
        assert np.array_equal(scores, again[name]), f"{scorer} differs for the same generator"


def _classifier() -> tuple[keras.Model, tuple[np.ndarray, np.ndarray]]:
    layers = keras.layers
    start = keras.initializers.GlorotUniform
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(3, 3, activation="tanh", kernel_initializer=start(1), name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.Flatten(),
            layers.Dropout(0.5, seed=1),
            layers.Dense(3, activation="softmax", kernel_initializer=start(2), name="output"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    return model, (rng.normal(size=(20, 4, 4, 1)).astype("float32"), np.arange(20) % 3)


def _state(model: keras.Model) -> list[np.ndarray]:
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
