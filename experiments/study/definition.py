"""`Definition`: what a study's file says, checked."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import os
import pathlib
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from experiments import settings
from experiments.settings import Settings

_SCALARS = (bool, int, float, str)
OBJECTIVES = ("accuracy", "phone")


class StudyError(ValueError):
    """A study's file, storage or folder is not what it should be."""


@dataclasses.dataclass(frozen=True)
class Range:
    """A setting that is drawn between two ends.

    Args:
        low: The lower end.
        high: The higher end.
        log: Whether its logarithm is drawn evenly.
        integer: Whether it is an integer.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False


@dataclasses.dataclass(frozen=True)
class Definition:
    """A study.

    Args:
        name: Its name.
        given: Arguments of `settings.make` that all trials share.
        grid: The values of each setting that is tried; all combinations are trials.
        ranges: Settings that are drawn between two ends; then there is no grid.
        trials: The number of trials over ranges.
        objective: `"accuracy"`: validation accuracy at the last of `remaining`; `"phone"`: also
            the bytes and milliseconds of the verified `.tflite`.
        remaining: The fractions of weights remaining at which trials are compared, falling.
        halving: Whether a trial that is worse than most is ended early (successive halving).
    """

    name: str
    given: Mapping[str, Any]
    grid: Mapping[str, tuple[Any, ...]]
    ranges: Mapping[str, Range]
    trials: int
    objective: str
    remaining: tuple[float, ...]
    halving: bool

    def to_json(self) -> dict[str, Any]:
        """The definition as JSON, to compare with another."""
        return {
            "given": dict(self.given),
            "grid": {name: list(values) for name, values in self.grid.items()},
            "ranges": {name: dataclasses.asdict(one) for name, one in self.ranges.items()},
            "trials": self.trials,
            "objective": self.objective,
            "remaining": list(self.remaining),
            "halving": self.halving,
        }

    def points(self) -> Iterator[dict[str, Any]]:
        """The combinations of the grid."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))

    def settings(self, point: Mapping[str, Any]) -> Settings:
        """The settings of a trial.

        Raises:
            ValueError: As from `settings.make`.
        """
        return settings.make(**{**self.given, **point})


def read(path: str | os.PathLike[str]) -> Definition:
    """Read a study's file.

    Raises:
        StudyError: If the file is not there, cannot be parsed, or says something that is not known;
            the message names the key and what would be right.
    """
    path = pathlib.Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not TOML: {error}.") from error
    known = ("name", "settings", "grid", "ranges", "trials", "objective", "remaining", "halving")
    _refuse_unknown(content, known, f"{path}")
    arguments = inspect.signature(settings.make).parameters
    for table in ("settings", "grid", "ranges"):
        _refuse_unknown(content.get(table, {}), arguments, f"{path}, [{table}]")
    grid = {name: _values(name, values) for name, values in content.get("grid", {}).items()}
    ranges = {name: _range(name, one) for name, one in content.get("ranges", {}).items()}
    if bool(grid) == bool(ranges):
        raise StudyError(
            f"{path} must have either [grid], lists of values such as rate = [0.2, 0.4], or "
            "[ranges], such as learning_rate = {low = 1e-4, high = 1e-2, log = true}; it has "
            f"{'both' if grid else 'neither'}."
        )
    definition = Definition(
        name=str(content.get("name", path.stem)),
        given=dict(content.get("settings", {})),
        grid=grid,
        ranges=ranges,
        trials=_trials(content.get("trials"), ranges),
        objective=_objective(content.get("objective", "accuracy")),
        remaining=_remaining(content.get("remaining", [0.5, 0.2, 0.1, 0.05])),
        halving=bool(content.get("halving", False)),
    )
    if definition.halving and definition.objective == "phone":
        raise StudyError("`halving` compares one number: it needs objective = 'accuracy'.")
    for point in definition.points() if grid else [_low_ends(ranges)]:
        try:
            definition.settings(point)
        except (TypeError, ValueError) as error:
            raise StudyError(f"{path}, with {point}: {error}") from error
    return definition


def _refuse_unknown(table: Any, known: Any, where: str) -> None:
    if not isinstance(table, Mapping):
        raise StudyError(f"{where} must be a table, received {table!r}.")
    for key in table:
        if key not in known:
            raise StudyError(f"{where} has the key {key!r}; there are {', '.join(known)}.")


def _values(name: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list) or not values:
        raise StudyError(f"[grid] {name} must be a list of values, received {values!r}.")
    if not all(isinstance(value, _SCALARS) for value in values):
        raise StudyError(f"[grid] {name} must have numbers and texts, received {values!r}.")
    if len(set(values)) < len(values):
        raise StudyError(f"[grid] {name} has a value twice: {values!r}.")
    return tuple(values)


def _range(name: str, one: Any) -> Range:
    integer = isinstance(one, Mapping) and all(
        isinstance(one.get(end), int) for end in ("low", "high")
    )
    try:
        found = Range(**one, integer=integer)
        is_right = found.low < found.high and (not found.log or found.low > 0)
    except TypeError:
        is_right = False
    if not is_right:
        raise StudyError(
            f"[ranges] {name} must be such as {{low = 1e-4, high = 1e-2, log = true}}, received "
            f"{one!r}."
        )
    return found


def _trials(trials: Any, ranges: Mapping[str, Range]) -> int:
    if not ranges and trials is None:
        return 0
    if not ranges:
        raise StudyError("`trials` is for [ranges]: a [grid] has as many as it has combinations.")
    if type(trials) is not int or trials < 1:
        raise StudyError(f"[ranges] needs `trials`, an integer of 1 or more; received {trials!r}.")
    return trials


def _objective(objective: Any) -> str:
    if objective not in OBJECTIVES:
        raise StudyError(f"`objective` must be one of {', '.join(OBJECTIVES)}: {objective!r}.")
    return objective


def _remaining(fractions: Any) -> tuple[float, ...]:
    if (
        not isinstance(fractions, list)
        or not fractions
        or not all(isinstance(one, int | float) and 0 < one <= 1 for one in fractions)
        or sorted(set(fractions), reverse=True) != fractions
    ):
        raise StudyError(
            f"`remaining` must be falling fractions, such as [0.5, 0.2, 0.1]; received {fractions}."
        )
    return tuple(map(float, fractions))


def _low_ends(ranges: Mapping[str, Range]) -> dict[str, Any]:
    return {name: one.low for name, one in ranges.items()}
