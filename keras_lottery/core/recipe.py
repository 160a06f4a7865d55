"""`Recipe`: how weights are ranked, dropped and restarted, in one record."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from keras_lottery.core import criteria, hold_at, lookup, made, restart_from, scopes
from keras_lottery.core import granularity as granularities
from keras_lottery.core.granularity import Granularity

Selector = str | Callable[[str, tuple[int, ...]], bool]


@dataclasses.dataclass(frozen=True, repr=False)
class Recipe:
    """How a network becomes sparse: which weights are pruned, and what becomes of all weights.

    A recipe does not say how many weights are pruned, or when: amounts, data, the rewind policy and
    the seed are arguments of the function that takes the recipe (`Prune`, `rounds`, `Lottery`).

    Wherever a recipe is taken, a criterion alone will do: `"movement"` is `Recipe("movement")`.

    A recipe is a value: it is equal to another of the same settings, pickles, and becomes JSON and
    back. It stores a function of this package as its name.

    Args:
        criterion: Ranks weights. The name of a function in `keras_lottery.criteria` or a file
            in `keras_lottery.scorers`; or a function of your own: `Kernel -> scores`, or, if it has
            to look at the model, `(model, data, rng) -> {kernel name: scores}`. The highest stay.
        scope: Where the counts hold: a function `(scores, masks, counts) -> masks` or the name of
            one in `keras_lottery.scopes`, such as `"layerwise"` or `"globally"`.
        granularity: The pieces that are pruned as one, made by `keras_lottery.granularity`.
            Defaults to single weights.
        restart_from: What the survivors become at a rewind: a function of
            `keras_lottery.restart_from` or its name. Without a rewind they train on.
        hold_at: What pruned weights are held at: a function of `keras_lottery.hold_at` or its name.
        include: Which kernels to prune: a regular expression searched in the kernel's name, or a
            predicate `(name, shape) -> bool`. Defaults to all that are trained and not depthwise.
        exclude: Which of these kernels to leave alone, in the same way.
        otherwise: Other recipes for some kernels: a dict from a regular expression, searched in the
            kernel's name, to a recipe or a criterion. Where several match, the last one holds.
            Kernels that are ranked alike (the same criterion, scope and granularity) are pruned
            together; so a kernel with a criterion or scope of its own leaves a global scope.

    Raises:
        ValueError: An argument is none of these; the message names it and what would be right.

    Example:

    >>> recipe = Recipe("movement", scope="globally", otherwise={"output": "large_final"})
    >>> recipe
    Recipe('movement', scope='globally', otherwise={'output': Recipe()})
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    """

    criterion: str | Callable[..., Any] = "large_final"
    _: dataclasses.KW_ONLY
    scope: str | Callable[..., Any] = "layerwise"
    granularity: Granularity | None = None
    restart_from: str | Callable[..., Any] = "rewind"
    hold_at: str | Callable[..., Any] = "zero"
    include: Selector | None = None
    exclude: Selector | None = None
    otherwise: Any = ()

    def __post_init__(self) -> None:
        def set_(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        if not isinstance(self.criterion, str) and not callable(self.criterion):
            raise ValueError(
                f"`criterion` is {self.criterion!r}; pass a name, such as 'large_final', or a "
                "function."
            )
        criterion = _named(self.criterion)
        if isinstance(criterion, str):
            criterion = criteria.ALIASES.get(criterion, criterion)
        set_("criterion", criterion)
        for argument, module in _REGISTRIES.items():
            function = _get(module, getattr(self, argument), argument)
            set_(argument, _named(function))
        set_("granularity", granularities.as_granularity(self.granularity))
        for argument in ("include", "exclude"):
            selector = getattr(self, argument)
            if not (selector is None or isinstance(selector, str) or callable(selector)):
                raise ValueError(
                    f"`{argument}` must be a regular expression or a function (name, shape) -> "
                    f"bool, received {selector!r}."
                )
        set_("otherwise", tuple(_others(self.otherwise)))

    def __repr__(self) -> str:
        """The settings that are not the default ones."""
        texts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value == (granularities.weights() if field.name == "granularity" else field.default):
                continue
            if field.name == "otherwise":
                value = dict(value)
            text = repr(value) if isinstance(value, str | Mapping) else _text(value)
            texts.append(text if field.name == "criterion" else f"{field.name}={text}")
        return f"Recipe({', '.join(texts)})"

    def of_kernels(self, names: Iterable[str]) -> dict[str, Recipe]:
        """Returns the recipe for each kernel: this one, or one of `otherwise`.

        Args:
            names: The names of the kernels that are pruned.

        Returns:
            A dict from kernel name to recipe, each without `otherwise`, `include` and `exclude`.

        Raises:
            ValueError: A pattern of `otherwise` is in no name.

        >>> recipe = Recipe(otherwise={"output": "random"})
        >>> recipe.of_kernels(["fc1/kernel", "output/kernel"])
        {'fc1/kernel': Recipe(), 'output/kernel': Recipe('random')}
        """
        base = dataclasses.replace(self, include=None, exclude=None, otherwise=())
        recipes = dict.fromkeys(names, base)
        for pattern, other in self.otherwise:
            matched = [name for name in recipes if re.search(pattern, name)]
            if not matched:
                raise ValueError(
                    f"Nothing matched: `otherwise` has the pattern {pattern!r}; the kernels are: "
                    f"{', '.join(recipes)}."
                )
            recipes.update(dict.fromkeys(matched, other))
        return recipes

    def ranked_alike(self, names: Iterable[str]) -> list[tuple[Recipe, list[str]]]:
        """Groups the kernels that are pruned together.

        Args:
            names: As for `of_kernels`.

        Returns:
            Pairs of a recipe and the names of the kernels that its criterion, scope and granularity
            are for, in the order of the kernels.
        """
        groups: list[tuple[Recipe, list[str]]] = []
        for name, recipe in self.of_kernels(names).items():
            for other, together in groups:
                if _ranking(other) == _ranking(recipe):
                    together.append(name)
                    break
            else:
                groups.append((recipe, [name]))
        return groups

    def to_json(self) -> dict[str, Any]:
        """Writes the recipe down as JSON: names and plain values.

        A function that is not of this package has no name that another process knows: it is written
        as `{"function": its name}`, which `from_json` refuses.

        >>> Recipe("movement").to_json()["criterion"]
        'movement'
        """
        record: dict[str, Any] = {
            field.name: made.to_json(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name != "otherwise"
        }
        record["otherwise"] = [[pattern, other.to_json()] for pattern, other in self.otherwise]
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Recipe:
        """Makes a recipe of what `to_json` wrote.

        Settings that the record lacks have their default.

        Raises:
            ValueError: The record has a setting that no recipe has, a function without a name, or
                a value that is wrong.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(record, Mapping) or not known >= record.keys():
            raise ValueError(
                f"{record!r} is no recipe: it must be a dict of {', '.join(sorted(known))}."
            )
        settings = dict(record)
        for name, value in record.items():
            if isinstance(value, Mapping) and made.FUNCTION in value:
                raise ValueError(
                    f"`{name}` was the user's own function {value[made.FUNCTION]}, which "
                    "JSON cannot hold: leave it out, and put the function in with "
                    f"dataclasses.replace(recipe, {name}=...)."
                )
        if isinstance(settings.get("granularity"), Mapping):
            settings["granularity"] = made.from_json(granularities, settings["granularity"])
        settings["otherwise"] = {
            pattern: cls.from_json(other) for pattern, other in settings.get("otherwise", [])
        }
        return cls(**settings)


How = Recipe | str | Callable[..., Any]


def as_recipe(how: How, default: Recipe | None = None) -> Recipe:
    """Returns a recipe for what was passed: a `Recipe`, or a criterion alone.

    Args:
        how: A `Recipe`; or a criterion's name or function.
        default: The recipe whose other settings a criterion alone leaves as they are.

    Raises:
        ValueError: It is neither.

    >>> as_recipe("movement", Recipe(scope="globally"))
    Recipe('movement', scope='globally')
    """
    if isinstance(how, Recipe):
        return how
    if not isinstance(how, str) and not callable(how):
        raise ValueError(
            f"`recipe` is {how!r}; pass a keras_lottery.Recipe, or a criterion: a name such as "
            "'large_final', or a function."
        )
    return dataclasses.replace(default or Recipe(), criterion=how)


_REGISTRIES: dict[str, ModuleType] = {
    "scope": scopes,
    "restart_from": restart_from,
    "hold_at": hold_at,
}


def _get(module: ModuleType, identifier: Any, argument: str) -> Callable[..., Any]:
    if isinstance(identifier, str) or callable(identifier):
        return lookup.get(module, identifier)
    raise ValueError(
        f"`{argument}` is {identifier!r}; pass a function or one of "
        f"{', '.join(lookup.names(module))}."
    )


def _named(function: Any) -> Any:
    """The name of a function of this package; others are kept as they are."""
    ours = (getattr(function, "__module__", None) or "").startswith("keras_lottery.")
    return function.__name__ if ours and hasattr(function, "__name__") else function


def _others(otherwise: Any) -> Iterable[tuple[str, Recipe]]:
    """The entries of `otherwise`, checked."""
    try:
        entries = dict(otherwise)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`otherwise` is {otherwise!r}; pass a dict from a pattern to a recipe."
        ) from error
    for pattern, how in entries.items():
        try:
            re.compile(pattern)
        except (TypeError, re.error) as error:
            raise ValueError(
                f"`otherwise` has {pattern!r}, which is no regular expression: {error}."
            ) from error
        other = as_recipe(how)
        if other.include is not None or other.exclude is not None or other.otherwise:
            raise ValueError(
                f"`otherwise` has a recipe for {pattern!r} that chooses kernels itself: {other}. "
                "Give `include`, `exclude` and `otherwise` to the outer recipe."
            )
        yield pattern, other


def _ranking(recipe: Recipe) -> tuple[Any, ...]:
    return recipe.criterion, recipe.scope, recipe.granularity


def _text(value: Any) -> str:
    return lookup.name_of(value) if callable(value) else repr(value)
