"""Names the weights of a model that could be pruned and are not, and the cure."""

import warnings
from collections.abc import Collection, Iterable, Mapping

import keras

from keras_lottery.model import adapters, variables

_FROZEN = "frozen"
_DEPTHWISE = "depthwise"
_UNKNOWN = "no rule knows its name"
_EXCLUDED = "excluded"

# How many names a warning lists.
_LISTED = 8


def reasons(model: keras.Model, chosen: Collection[str]) -> dict[str, tuple[str, int]]:
    """Return why some variables that could be pruned are not masked.

    Args:
        model: A built `keras.Model`.
        chosen: The names of the kernels that are masked.

    Returns:
        A dict from variable name to the reason and the number of weights.
    """
    depthwise = variables.depthwise(model)
    left_out = {}
    for name, variable in variables.candidates(model).items():
        if name in chosen or not (variables.is_kernel(name) or looks_like_a_kernel(name, variable)):
            continue
        reason = _EXCLUDED
        if not variables.is_kernel(name):
            reason = _UNKNOWN
        elif name in depthwise:
            reason = _DEPTHWISE
        elif not variable.trainable:
            reason = _FROZEN
        left_out[name] = (reason, _size(variable))
    return left_out


def looks_like_a_kernel(name: str, variable: keras.Variable) -> bool:
    """Return whether a variable is trained and a matrix: two of its axes are longer than 1.

    Tables of positions and the like, and adapters, do not count: they are left dense on purpose.
    """
    own = name.rpartition("/")[2].partition("#")[0]
    return (
        bool(variable.trainable)
        and sum(length > 1 for length in variable.shape) >= 2
        and not own.endswith(("embedding", "embeddings", "table"))
        and not adapters.is_adapter(name)
    )


def warn(
    model: keras.Model,
    include: variables.Selector | None,
    exclude: variables.Selector | None,
) -> None:
    """Warn of frozen kernels, and of variables like kernels, that the default leaves dense.

    Variables that `include` or `exclude` decides about are the user's choice, and depthwise kernels
    are left dense by rule: no warning names them.
    """
    if include is not None:
        return
    chosen = variables.prunable(model, None, exclude)
    candidates = variables.candidates(model)
    left = {
        name: reason
        for name, (reason, _) in reasons(model, chosen).items()
        if not variables.excluded(exclude, name, candidates[name].shape)
    }
    frozen = [name for name, reason in left.items() if reason == _FROZEN]
    if frozen:
        warnings.warn(
            f"Frozen kernels are left dense: {_listed(frozen, candidates)}. To prune them, name "
            "them in `include`; to have this said no more, in `exclude`.",
            stacklevel=3,
        )
    unknown = [name for name, reason in left.items() if reason == _UNKNOWN]
    if unknown:
        warnings.warn(
            "Variables that look like kernels are left dense, as no rule knows their names: "
            f"{_listed(unknown, candidates)}. To prune them, choose with a function, "
            "`include=lambda name, shape: ...`; to have this said no more, name them in "
            "`exclude`.",
            stacklevel=3,
        )


def warn_of_changes(
    model: keras.Model,
    masked: Collection[str],
    include: variables.Selector | None,
    exclude: variables.Selector | None,
) -> None:
    """Warn of kernels that became trainable since the masks were made, and of masked kernels that
    were frozen since.

    Args:
        model: A built `keras.Model`.
        masked: The names of the kernels that are masked.
        include: The `include` that chose them.
        exclude: The `exclude` that chose them.
    """
    candidates = variables.candidates(model)
    chosen = variables.prunable(model, include, exclude)
    came = [name for name in chosen if name not in masked and candidates[name].trainable]
    if came:
        warnings.warn(
            f"The masks stay on the kernels of the first fit. {_listed(came, candidates)} became "
            "trainable, or were built, since and are left dense. To prune them too, `strip` the "
            "model and give a new `Prune`, after `Lottery.from_zeros(model)`.",
            stacklevel=3,
        )
    frozen = [name for name in masked if name in candidates and not candidates[name].trainable]
    if include is None and 0 < len(frozen) < len(masked):
        warnings.warn(
            f"The masks stay on the kernels of the first fit. {_listed(frozen, candidates)} were "
            "frozen since, and will be pruned all the same: to keep them as they are, `strip` the "
            "model and give a new `Prune`, after `Lottery.from_zeros(model)`.",
            stacklevel=3,
        )


def _listed(names: Iterable[str], candidates: Mapping[str, keras.Variable]) -> str:
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    weights = sum(_size(candidates[name]) for name in names)
    return f"{', '.join(map(repr, names[:_LISTED]))}{more} ({weights:,} weights)"


def _size(variable: keras.Variable) -> int:
    size = 1
    for length in variable.shape:
        size *= length
    return size
