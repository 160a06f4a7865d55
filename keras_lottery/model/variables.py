"""Naming and finding the variables of a Keras model.

Variable paths change between builds (`sequential_1/dense_2/kernel`) and layer classes say little
about what can be pruned, so everything here goes by the variables themselves: their place in the
model, their name and their rank.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.core import pairing
from keras_lottery.model import keras_internals

# Biases, normalisation weights and slopes of activations may be of rank 2 or more, as in
# MultiHeadAttention and PReLU.
_NEVER_KERNELS = ("bias", "gamma", "beta", "moving_mean", "moving_variance", "alpha")

Selector = str | Callable[[str, tuple[int, ...]], bool]


def named(model: keras.Model) -> dict[str, keras.Variable]:
    """All variables of a built model under stable, unique names.

    A name is the variable's path without the model's own name (`"fc1/kernel"`). Where two variables
    share a path, the later ones get a suffix (`"fc1/kernel#2"`). Metrics and optimizer variables
    are not part of a model here. A variable that several layers share appears once.

    Args:
        model: A built `keras.Model`.

    Returns:
        A dict from name to variable, in the order of the model's layers.

    Raises:
        ValueError: If `model` has no variables yet.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc1")])
    >>> list(named(model))
    ['fc1/kernel', 'fc1/bias']
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model, received {type(model).__name__}.")
    if not model.built or not model.variables:
        raise ValueError(
            f"`model` ({model.name!r}) has no variables yet: build it, or call it on a batch of "
            "data, first."
        )
    metrics = {id(variable) for variable in model.metrics_variables}
    by_name: dict[str, keras.Variable] = {}
    seen: set[int] = set()
    for variable in model.variables:
        if id(variable) in metrics or id(variable) in seen:
            continue
        seen.add(id(variable))
        base = variable.path.removeprefix(f"{model.name}/")
        name, twin = base, 2
        while name in by_name:
            name, twin = f"{base}#{twin}", twin + 1
        by_name[name] = variable
    return by_name


def prunable(
    model: keras.Model, include: Selector | None = None, exclude: Selector | None = None
) -> dict[str, keras.Variable]:
    """The kernels of a model: what can be pruned.

    A kernel is a floating-point variable of rank 2 or more called `embeddings` or ending in
    `kernel` (`kernel`, `pointwise_kernel`, `recurrent_kernel`, ...). Biases, whatever their rank,
    and normalisation weights are none.

    By default two sorts are left out. Frozen kernels (`trainable=False`) could not recover from a
    pruning; they are taken only if all kernels of the model are frozen. Depthwise kernels have few
    weights, and each is the only way of its channel; tfmot leaves them dense, too; they are taken
    only if the model has no others.

    Args:
        model: A built `keras.Model`.
        include: Which kernels to take, frozen and depthwise ones among them: a regular expression
            searched in the name, or a predicate `(name, shape) -> bool`. A predicate is asked about
            all `candidates`, and so can also choose weights of a custom layer that are not called a
            kernel. Defaults to all kernels that are neither frozen nor depthwise.
        exclude: Which of these kernels to leave out, in the same way.

    Returns:
        A dict from name to variable, in the order of the model's layers.

    Raises:
        ValueError: If no kernel is left, or a regular expression of `exclude` is in no name; the
            message lists the kernels. Or if a selector is neither an expression nor a function.

    Example:

    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(3, name="fc1"),
    ...         keras.layers.Dense(2, name="output"),
    ...     ]
    ... )
    >>> list(prunable(model, exclude="output"))
    ['fc1/kernel']
    """
    choice = candidates(model)
    kernels = {name for name in choice if is_kernel(name)}
    if include is None:
        usual = kernels - depthwise(model).keys()
        trained = {name for name in usual if choice[name].trainable}
        included = {name: choice[name] for name in choice if name in (trained or usual or kernels)}
    else:
        included = {
            name: variable
            for name, variable in choice.items()
            if (name in kernels or callable(include))
            and _matches(include, name, variable.shape, "include")
        }
    excluded = {
        name
        for name in (included if callable(exclude) else choice)
        if exclude is not None and _matches(exclude, name, choice[name].shape, "exclude")
    }
    if isinstance(exclude, str) and not excluded:
        raise ValueError(
            f"Nothing matched: exclude={exclude!r} is in the name of no kernel of {model.name!r}. "
            f"Its kernels are: {', '.join(sorted(kernels)) or 'none'}."
        )
    chosen = {name: variable for name, variable in included.items() if name not in excluded}
    if not chosen:
        raise ValueError(
            f"Nothing matched: include={include!r}, exclude={exclude!r} leave no kernel of "
            f"{model.name!r} to prune. Its kernels are: {', '.join(sorted(kernels)) or 'none'}."
        )
    return chosen


def candidates(model: keras.Model) -> dict[str, keras.Variable]:
    """The variables that a predicate for `prunable` can choose from, kernels or not.

    Args:
        model: A built `keras.Model`.

    Returns:
        A dict from name to variable: all floating-point variables of rank 2 or more but biases and
        normalisation weights.

    Raises:
        ValueError: If `model` has no variables yet.
    """
    return {
        name: variable
        for name, variable in named(model).items()
        if len(variable.shape) >= 2
        and keras.backend.is_float_dtype(variable.dtype)
        and not _last(name).endswith(_NEVER_KERNELS)
    }


def is_kernel(name: str) -> bool:
    """Return whether a variable of this name is a kernel or a table of embeddings."""
    return _last(name).endswith("kernel") or _last(name) == "embeddings"


def depthwise(model: keras.Model) -> dict[str, keras.Variable]:
    """The kernels of depthwise convolutions, by name."""
    own = {
        id(getattr(layer, "depthwise_kernel", getattr(layer, "kernel", None)))
        for layer in keras_internals.flat_layers(model)
        if hasattr(layer, "depthwise_initializer")
    }
    return {name: variable for name, variable in named(model).items() if id(variable) in own}


def _last(name: str) -> str:
    """The variable's own name, without its layer's."""
    return name.rpartition("/")[2].partition("#")[0]


def _matches(selector: Selector, name: str, shape: Iterable[int], argument: str) -> bool:
    if callable(selector):
        return bool(selector(name, tuple(shape)))
    if not isinstance(selector, str):
        raise ValueError(
            f"`{argument}` must be a regular expression or a function (name, shape) -> bool, "
            f"received {selector!r}."
        )
    return _found(selector, name, argument)


def excluded(exclude: Selector | None, name: str, shape: Iterable[int]) -> bool:
    """Return whether `exclude` leaves a variable out."""
    return exclude is not None and _matches(exclude, name, shape, "exclude")


def overridden(overrides: Mapping | None, names: Iterable[str]) -> dict:
    """Return the values that `overrides` gives to kernels; the last pattern in a name decides.

    Args:
        overrides: A dict from regular expression to value, or `None`.
        names: The kernels' names.

    Returns:
        A dict from kernel name to value.

    Raises:
        ValueError: If a pattern matches no name, or is no regular expression.

    Example:

    >>> overridden({"output": 0.1}, ["fc1/kernel", "output/kernel"])
    {'output/kernel': 0.1}
    """
    names, values = list(names), {}
    for pattern, value in (overrides or {}).items():
        matched = [name for name in names if _found(pattern, name, "overrides")]
        if not matched:
            raise ValueError(
                f"Nothing matched: `overrides` has the pattern {pattern!r}; the kernels are: "
                f"{', '.join(names)}."
            )
        values.update(dict.fromkeys(matched, value))
    return values


def _found(pattern: str, name: str, argument: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error as error:
        raise ValueError(
            f"`{argument}` has {pattern!r}, which is no regular expression: {error}."
        ) from error


def names_in(shapes: Mapping[str, tuple[int, ...]], model: keras.Model) -> dict[str, str]:
    """Map the names of stored variables to names in a model, perhaps of another process.

    Names are compared without the numbers that Keras gives to unnamed layers, since those depend on
    how many layers were built before; variables are then paired in the order of the layers.

    Args:
        shapes: A dict from stored name to shape, in the order of the stored model's layers, for all
            its variables.
        model: A built `keras.Model` of the same architecture.

    Returns:
        A dict from stored name to the name in `named(model)`.

    Raises:
        ValueError: If the architectures differ, naming the first difference.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense_7")])
    >>> names_in({"dense/kernel": (4, 2), "dense/bias": (2,)}, model)
    {'dense/kernel': 'dense_7/kernel', 'dense/bias': 'dense_7/bias'}
    """
    own = {name: variable.shape for name, variable in named(model).items()}
    return pairing.paired(shapes, own, f"the model {model.name!r}")


def fill(model: keras.Model) -> None:
    """Write the values of a JAX train step into the model's variables, in the midst of an epoch.

    On other backends, and between epochs, the variables have their values already.
    """
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def optimizer_of(model: keras.Model) -> keras.optimizers.Optimizer | None:
    """A model's optimizer, or `None` if it was never compiled."""
    return getattr(model, "optimizer", None)


def scope(model: keras.Model) -> contextlib.AbstractContextManager:
    """The scope of a model's distribution strategy, in which to make its variables; or none."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def initializer(
    model: keras.Model, variable: keras.Variable
) -> Callable[[np.random.Generator], np.ndarray]:
    """Return a function that draws fresh values for a variable, as its layer's initializer would.

    Args:
        model: The `keras.Model` that holds the variable.
        variable: One of the model's variables.

    Returns:
        A function from a `numpy.random.Generator` to an array of the variable's shape. It raises a
        `ValueError` if the layer that owns the variable does not tell its initializer.
    """

    def draw(rng: np.random.Generator) -> np.ndarray:
        initializer: Any = _initializer_of(variable, model)
        config: dict[str, Any] = getattr(initializer, "get_config", dict)()
        if "seed" in config:
            seeded = {**config, "seed": int(rng.integers(2**31))}
            initializer = type(initializer).from_config(seeded)
        return keras.ops.convert_to_numpy(initializer(variable.shape, dtype=variable.dtype))

    return draw


def _initializer_of(variable: keras.Variable, model: keras.Model) -> Callable:
    owners = keras_internals.owners_of(variable, model)
    # `recurrent_kernel` has a `recurrent_initializer`; the `kernel` of DepthwiseConv2D has a
    # `depthwise_initializer`.
    stem = variable.name.removesuffix("_kernel")
    for prefix in (variable.name, stem, "depthwise"):
        for layer in owners:
            if getattr(layer, f"{prefix}_initializer", None) is not None:
                return getattr(layer, f"{prefix}_initializer")
    raise ValueError(
        f"No layer of {model.name!r} has an attribute `{variable.name}_initializer` for "
        f"{variable.path!r}, so it cannot be drawn anew."
    )
