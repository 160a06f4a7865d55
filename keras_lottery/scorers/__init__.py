"""Criteria that measure: functions `(model, data, rng) -> {kernel name: scores}`, a file each.

A scorer looks at more than a kernel's record: gradients, activations, curvature. It stands wherever
a criterion may, is asked once for each pruning, and gets the `data` that the door was given
(`Prune`, `rounds`, `Lottery.prune`); one that needs no data annotates it as `None`. The file
`snip.py` defines `snip`, and adding a file adds a scorer. Settings are given by
`functools.partial`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.core import criteria, lookup
from keras_lottery.core.kernel import Kernel
from keras_lottery.core.recipe import Recipe


def names() -> list[str]:
    """The names of the scorers: the files here.

    >>> "snip" in names()
    True
    """
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def resolve(criterion: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that a criterion's or a scorer's name stands for; a function stays as it is.

    Args:
        criterion: A name of `keras_lottery.criteria` or of a file here, or a function.

    Raises:
        ValueError: If there is neither a criterion nor a scorer of this name.

    >>> resolve("large_final") is criteria.large_final
    True
    """
    if isinstance(criterion, str):
        criterion = criteria.ALIASES.get(criterion, criterion)
    if isinstance(criterion, str) and criterion in names():
        return getattr(importlib.import_module(f"{__name__}.{criterion}"), criterion)
    if isinstance(criterion, str) and criterion not in lookup.names(criteria):
        raise ValueError(
            f"No {criterion!r} in criteria or scorers; pass a function or one of "
            f"{', '.join(lookup.names(criteria))}, {', '.join(names())}."
        )
    return lookup.get(criteria, criterion)


def is_scorer(function: Callable[..., Any]) -> bool:
    """Whether a function is a scorer, `(model, data, rng)`, rather than a criterion, `(kernel)`.

    >>> is_scorer(resolve("snip")), is_scorer(resolve("movement"))
    (True, False)
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have no signature to look at
        return False
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return len(required) > 1


def needs_data(scorer: Callable[..., Any]) -> bool:
    """Whether a scorer measures with data: its second parameter is not annotated `None`.

    >>> needs_data(resolve("snip")), needs_data(resolve("synflow"))
    (True, False)
    """
    annotation = list(inspect.signature(scorer).parameters.values())[1].annotation
    return annotation not in (None, "None")


def balanced(x: Any, y: Any, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """The first samples of every class: data to score with, in which no class is rare.

    The papers of SNIP, GraSP and SynFlow score over 10 to 25 images of each class.

    Args:
        x: Samples, an array or nested arrays.
        y: Their classes: integers of shape `(samples,)` or `(samples, 1)`, or one-hot rows.
        per_class: How many samples of each class.

    Returns:
        A pair of the samples and of their `y`, in the order of the data.

    Raises:
        ValueError: If `y` does not tell classes, or a class has fewer samples.

    >>> x, y = balanced(np.arange(6), np.array([0, 0, 0, 1, 1, 0]), per_class=2)
    >>> x.tolist(), y.tolist()
    ([0, 1, 3, 4], [0, 0, 1, 1])
    """
    y = np.asarray(y)
    one_hot = y.ndim == 2 and y.shape[1] > 1
    classes = y.argmax(axis=1) if one_hot else y.reshape(-1)
    if classes.size != len(y) or not (one_hot or np.issubdtype(y.dtype, np.integer)):
        raise ValueError(
            f"`y` must be classes, integers of shape (samples,) or one-hot rows; it has dtype "
            f"{y.dtype} and shape {y.shape}."
        )
    if isinstance(per_class, bool) or not isinstance(per_class, int | np.integer) or per_class < 1:
        raise ValueError(f"`per_class` must be a positive integer, received {per_class!r}.")
    counts = dict(zip(*np.unique(classes, return_counts=True), strict=True))
    few = {int(one): int(count) for one, count in counts.items() if count < per_class}
    if few or not counts:
        raise ValueError(f"`per_class` is {per_class}, and there are fewer samples of {few}.")
    chosen = np.sort(np.concatenate([np.flatnonzero(classes == one)[:per_class] for one in counts]))
    return keras.tree.map_structure(lambda part: np.asarray(part)[chosen], x), y[chosen]


def check(recipes: Iterable[Recipe], **given: Any) -> None:
    """Refuse criteria that there are not, and data that is missing or that nothing looks at.

    Args:
        recipes: Recipes of kernels.
        given: `data`, where it is known by now.

    Raises:
        ValueError: If a name is neither a criterion's nor a scorer's, a criterion measures with
            data and `data` is `None`, or none does and it is not.
    """
    functions = [resolve(recipe.criterion) for recipe in recipes]
    measuring = [
        lookup.name_of(function)
        for function in functions
        if is_scorer(function) and needs_data(function)
    ]
    if "data" not in given:
        return
    if measuring and given["data"] is None:
        raise ValueError(
            f"The criterion {measuring[0]!r} measures the model: give `data`, a pair of arrays "
            "(x, y) or batches of such pairs that can be read again."
        )
    if given["data"] is not None and not measuring:
        raise ValueError(
            f"`data` is given, but no criterion looks at it: "
            f"{', '.join(dict.fromkeys(map(lookup.name_of, functions)))} ranks without. Leave it "
            "out, or name a scorer that measures: "
            + ", ".join(name for name in names() if needs_data(resolve(name)))
            + "."
        )


def once(model: keras.Model, data: Any, rng: np.random.Generator) -> Callable[..., Any]:
    """Makes criteria of the criteria and scorers of one pruning; each scorer is asked once.

    Args:
        model: What scorers look at.
        data: Likewise.
        rng: Their generator.

    Returns:
        A function from a criterion's or scorer's name or function to a criterion, `Kernel ->
        scores`.
    """
    found: dict[Callable[..., Any], Any] = {}

    def criterion_of(criterion: str | Callable[..., Any]) -> Callable[[Kernel], np.ndarray]:
        function = resolve(criterion)
        if not is_scorer(function):
            return function
        if function not in found:
            found[function] = function(model, data if needs_data(function) else None, rng)
        scores = found[function]

        def measured(kernel: Kernel) -> np.ndarray:
            if not isinstance(scores, Mapping) or kernel.name not in scores:
                raise ValueError(
                    f"The scorer {lookup.name_of(function)} must return a dict from kernel name to "
                    f"scores; it has none for {kernel.name!r}."
                )
            return np.asarray(scores[kernel.name])

        measured.__name__ = lookup.name_of(function)
        return measured

    return criterion_of
