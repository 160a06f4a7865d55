"""Checks that the masks hold, and names the causes that can be seen if they do not."""

import warnings
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from keras_lottery.core.kernel import Kernel
from keras_lottery.masks import masking
from keras_lottery.masks.gradients import Owner
from keras_lottery.masks.masking import MaskError
from keras_lottery.model import keras_internals, trainers

_UNSEEN_STEP = (
    "A step that was compiled before the masks were made trains these weights: {steppers} stepped "
    "since, and no step of its was traced with the masks. Make the step (tf.function, jax.jit) "
    "anew after the masks."
)
_DIVERGED = "Weights that are alive are not finite either: training diverged."
# Keras' Adafactor divides by a product of mean squares of gradients, to each of which it adds its
# `epsilon_1`. The square of the default, 1e-30, is zero in float32.
_SMALL = 1e-18
_ADAFACTOR = (
    "Keras' Adafactor is not finite where nothing passes through a row and a column: give it "
    "`epsilon_1=1e-16`."
)
_OVERWRITTEN = (
    "Something wrote to the weights after the last pruning with values from before it: "
    "EarlyStopping(restore_best_weights=True), load_weights and set_weights do. Let it start after "
    "the last pruning, or write before the masks are made."
)


def refuse_detached(lottery: Owner, kernels: Mapping[str, keras.Variable]) -> None:
    """Raise a `MaskError` if a `Lottery` does not mask all of its kernels."""
    for name, kernel in kernels.items():
        if masking.lottery_of(kernel) is not lottery:
            raise MaskError(
                f"Nothing keeps the pruned weights of {name!r}: its mask was detached, or its "
                "constraint replaced. Call `attach()`."
            )


def refuse_replaced(model: keras.Model, kernels: Mapping[str, keras.Variable]) -> None:
    """Raise a `MaskError` if a kernel is no longer a variable of its model."""
    own = set(map(id, model.variables))
    gone = [name for name, kernel in kernels.items() if id(kernel) not in own]
    if gone:
        raise MaskError(
            f"The model {model.name!r} no longer has the kernels that were masked: "
            f"{', '.join(gone)}. `quantize`, or building a layer anew, replaced them: `strip` the "
            "model before, or make new masks (`Lottery.from_zeros(model)`)."
        )


def refuse_broken(
    records: Iterable[Kernel],
    held_values: Mapping[str, np.ndarray],
    unseen: Iterable[keras.optimizers.Optimizer],
    optimizers: Iterable[keras.optimizers.Optimizer] = (),
) -> None:
    """Raise a `MaskError` if a pruned weight has another value than it is held at; -0 is 0.

    Args:
        records: The kernels as they are now.
        held_values: The values of pruned weights by kernel name, where they are not zero.
        unseen: The optimizers that have stepped without the masks; iterated only if needed.
        optimizers: All optimizers that train the kernels.
    """
    for record in records:
        expected = held_values[record.name][~record.mask] if record.name in held_values else 0.0
        broken = int(np.count_nonzero(record.current[~record.mask] != expected))
        if broken:
            wanted = "their held values" if record.name in held_values else 0
            raise MaskError(
                f"{record.name!r}: {broken} of {np.count_nonzero(~record.mask)} pruned weights "
                f"have changed (expected {wanted}). " + _causes(record, list(unseen), optimizers)
            )


def warn_of_adapters(revived: Mapping[str, int], masks: Mapping[str, np.ndarray]) -> None:
    """Warn of kernels whose layers add the product of adapters, which no mask reaches."""
    if revived:
        warnings.warn(f"{adapters_message(revived, masks)}", stacklevel=3)


def adapters_message(revived: Mapping[str, int], masks: Mapping[str, np.ndarray]) -> str:
    """Say what adapters do to masked kernels, with the numbers."""
    counts = [
        f"{name!r} ({count} of {np.count_nonzero(~masks[name])})" for name, count in revived.items()
    ]
    return (
        "The masks do not reach what LoRA adds: layers compute with pruned weights of other "
        f"values, {', '.join(counts)}. The stored kernel keeps its mask; merging the adapters "
        "would lose it."
    )


def warn_of_earlier_steps(optimizers: Iterable[keras.optimizers.Optimizer]) -> None:
    """Warn of optimizers that stepped in compiled loops of the user's before there were masks."""
    stepped = list(optimizers)
    if stepped:
        warnings.warn(
            f"{_listed(stepped)} stepped already, and no model that is compiled trains with it. A "
            "step of your own that was compiled before the masks (tf.function, jax.jit) will not "
            "see them: make it anew now.",
            stacklevel=3,
        )


def warn_of_zeros(kernels: Mapping[str, np.ndarray]) -> None:
    """Warn of kernels that look pruned and have no mask that keeps them so."""
    zeros = {name: values.size - np.count_nonzero(values) for name, values in kernels.items()}
    # Drawn weights are hardly ever zero; a kernel may well start with nothing else.
    sparse = [
        f"{name!r} ({zeros[name]} of {values.size})"
        for name, values in kernels.items()
        if values.size / 10 <= zeros[name] < values.size
    ]
    if sparse:
        warnings.warn(
            f"Weights are exactly zero without a mask that keeps them so: {', '.join(sparse)}. "
            "Training will bring them back. If they were pruned, put their `Ticket` on the model "
            "or use `Lottery.from_zeros(model)` before anything else makes masks.",
            stacklevel=3,
        )


def warn_of_no_zeros(masks: Iterable[np.ndarray]) -> None:
    """Warn of `from_zeros` on a model without zeros."""
    if all(mask.all() for mask in masks):
        warnings.warn(
            "No weight is exactly zero, so that `from_zeros` masks nothing: the model was never "
            "pruned, or was trained without its masks since. Its `Ticket` has them.",
            stacklevel=3,
        )


def warn_of_empty(
    before: Mapping[str, int],
    after: Mapping[str, int],
    asked: Mapping[str, float],
) -> None:
    """Warn of kernels that a pruning left empty, though it was asked to prune less than all.

    Args:
        before: How many weights were alive before the pruning, by kernel name.
        after: How many are alive after it.
        asked: The fraction that was asked for, of all weights or of the live ones.
    """
    emptied = [
        f"{name!r} ({alive} of {before[name]})"
        for name, alive in after.items()
        if before[name] and not alive and asked[name] < 1
    ]
    if emptied:
        warnings.warn(
            f"The pruning left no weight alive in {', '.join(emptied)}: nothing passes through "
            "such a kernel any more. Prune less, give it a sparsity of its own (`overrides`), "
            "leave it out (`exclude`), or use the scope 'layerwise' or 'erdos_renyi'.",
            stacklevel=3,
        )


def refuse_adafactor(
    optimizers: Iterable[keras.optimizers.Optimizer],
    kernels: Mapping[str, keras.Variable],
    masks: Mapping[str, np.ndarray],
) -> None:
    """Raise a `ValueError` for masks with which Keras' Adafactor computes 0 / 0.

    It divides by the product of the mean squares of a row and a column of gradients, which
    underflows to zero where both have no live weight.
    """
    trained = {
        id(variable)
        for part in _adafactors(optimizers)
        for variable in keras_internals.variables_trained_by(part)
    }
    for name, kernel in kernels.items():
        if id(kernel) in trained and _has_empty_cross(masks[name]):
            raise ValueError(
                f"These masks leave a row and a column of {name!r} without a live weight. "
                f"{_ADAFACTOR}"
            )


def _adafactors(
    optimizers: Iterable[keras.optimizers.Optimizer],
) -> list[keras.optimizers.Optimizer]:
    """Find optimizers that divide 0 by 0 where gradients of a row and a column are zero."""
    return [
        part
        for optimizer in optimizers
        for part in trainers.parts(optimizer)
        if isinstance(part, keras.optimizers.Adafactor) and part.epsilon_1 < _SMALL
    ]


def _has_empty_cross(mask: np.ndarray) -> bool:
    rows, columns = mask.any(-1), mask.any(-2)
    alive = mask.any((-2, -1))
    return bool(np.any(alive & ~rows.all(-1) & ~columns.all(-1)))


def _causes(
    kernel: Kernel,
    unseen: list[keras.optimizers.Optimizer],
    optimizers: Iterable[keras.optimizers.Optimizer],
) -> str:
    causes = []
    if unseen:
        causes.append(_UNSEEN_STEP.format(steppers=_listed(unseen)))
    if not np.all(np.isfinite(kernel.current[kernel.mask])):
        causes.append(_DIVERGED)
        if _adafactors(optimizers):
            causes.append(_ADAFACTOR)
    return " ".join(causes or [_OVERWRITTEN])


def _listed(optimizers: Iterable[keras.optimizers.Optimizer]) -> str:
    return ", ".join(
        f"{type(optimizer).__name__} ({optimizer.name!r}, {trainers.steps_of(optimizer)} steps)"
        for optimizer in optimizers
    )
