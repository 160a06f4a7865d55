"""Makes and reads the metadata of a ticket, which say how it was found."""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import trainers, variables

# What tickets of version 1 called it.
_OLD_NAMES = {"kept": "restart_from", "pruned": "hold_at"}
_RECIPE = ("criterion", "scope", "granularity", "kept", "pruned")
_SEARCH = ("rate", "overrides", "rewind")


def of(lottery: Lottery, rounds: int | None, history: Sequence[Any] | None) -> dict[str, Any]:
    """Make the metadata of a `Lottery`'s ticket.

    Args:
        lottery: The owner of the masks and of the rewind point.
        rounds: The number of prunings, if rounds were counted.
        history: JSON-able results of the training, or `None`.

    Returns:
        A JSON-able dict: `recipe`; `search` (the function that made the masks, such as `rounds`,
        its amounts, the rewind policy and the fingerprint of the `data` that was measured with);
        `rounds`; `events`; `steps` (the number of the optimizer's steps); `rewind_step`; `seed`;
        `sparsity`; `hold_at` (`"freeze"` if pruned weights are held at their values in the ticket);
        `history`; `versions`.
    """
    search = dict(lottery.state.search)
    optimizer = variables.optimizer_of(lottery.model)
    return {
        "recipe": search.pop("recipe", None) or lottery.recipe.to_json(),
        "search": search,
        "rounds": rounds,
        "events": lottery.state.events,
        "steps": None if optimizer is None else trainers.steps_of(optimizer),
        "rewind_step": lottery.state.point.step,
        "seed": lottery.seed,
        "sparsity": lottery.sparsity,
        "hold_at": "freeze" if lottery.holds_nonzero else "zero",
        "history": history,
        "versions": _versions(),
    }


def of_scores(search: Mapping[str, Any], seed: int, sparsity: float) -> dict[str, Any]:
    """What the ticket of a network says whose scores were trained.

    Args:
        search: The door and its settings.
        seed: The seed.
        sparsity: The sparsity that it came to.

    Returns:
        A JSON-able dict as from `of`, without a recipe.
    """
    return {
        "recipe": {},
        "search": dict(search),
        "rewind_step": 0,
        "seed": seed,
        "sparsity": sparsity,
        "hold_at": "zero",
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {
        "keras": keras.__version__,
        "numpy": np.__version__,
        "backend": keras.backend.backend(),
    }


def hold_at(metadata: Mapping[str, Any]) -> str:
    """The action that holds the ticket's pruned weights: `"zero"`, or `"freeze"` at its values."""
    return metadata.get("hold_at", metadata.get("pruned", "zero"))


def criterion_of(metadata: Mapping[str, Any]) -> str | None:
    """The criterion that a ticket was found with, or `None` if the metadata do not say."""
    criterion = upgraded(metadata).get("recipe", {}).get("criterion")
    return criterion["function"] if isinstance(criterion, Mapping) else criterion


def upgraded(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata of version 1, which had all settings side by side, in today's form.

    >>> upgraded({"criterion": "movement", "granularity": "blocks(4)", "rate": 0.2})["recipe"]
    {'criterion': 'movement', 'granularity': {'blocks': {'width': 4}}}
    """
    if "recipe" in metadata or "operation" in metadata:
        return dict(metadata)
    recipe = {
        _OLD_NAMES.get(name, name): metadata[name]
        for name in _RECIPE
        if metadata.get(name) is not None
    }
    if "granularity" in recipe:
        recipe["granularity"] = _call(recipe["granularity"])
    search = {name: metadata[name] for name in _SEARCH if name in metadata}
    others = {k: v for k, v in metadata.items() if k not in (*_RECIPE, *_SEARCH)}
    return {**others, "recipe": recipe, "search": search}


def refuse_differences(metadata: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Raise a `ValueError` if the metadata say that a ticket is of a search with other settings.

    Warns where the ticket is of version 1, whose random choices came from other streams.

    Args:
        metadata: The metadata of the ticket.
        record: The search that goes on from the ticket: its `recipe`, its `seed`, and its amounts.
    """
    known = upgraded(metadata)
    theirs = {**known["search"], **known["recipe"]}
    theirs |= {name: known[name] for name in ("seed", "rewind_step") if name in known}
    wanted = {**record, **record["recipe"]}
    for name, value in wanted.items():
        other = theirs.get(name)
        if name in ("recipe", "door") or name not in theirs:
            continue
        if name == "hold_at" and "recipe" not in metadata:  # it knew no more than these two
            value = "zero" if value == "zero" else "freeze"
        if other is not None and other != value:
            raise ValueError(
                f"`start` is the ticket of a search with {name}={_shown(other)}; this one has "
                f"{name}={_shown(value)}."
            )
    if "recipe" not in metadata:
        warnings.warn(
            "`start` is a ticket of version 1: the search goes on from its masks and values, but "
            "random choices (a random criterion, reinit, controls) are other ones.",
            stacklevel=3,
        )


def _shown(value: Any) -> str:
    """A value as a message shows it: a record as the call that makes it."""
    match value:
        case {**call} if len(call) == 1 and isinstance(next(iter(call.values())), Mapping):
            [name], [arguments] = call.keys(), list[Any](call.values())
            return f"{name}({', '.join(map(repr, arguments.values()))})"
    return repr(value)


def _call(text: str) -> Any:
    """A granularity as it is written today: `blocks(4)` was its text."""
    arguments = {"weights": (), "units": (), "blocks": ("width",), "n_of_m": ("n", "m")}
    match = re.fullmatch(r"(\w+)\(([\d, ]*)\)", text)
    if match is None or match[1] not in arguments:
        return text
    numbers = map(int, re.findall(r"\d+", match[2]))
    return {match[1]: dict(zip(arguments[match[1]], numbers, strict=False))}
