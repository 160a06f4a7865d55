"""What a flag or a study writes as text, read: a rewind point, a granularity, controls."""

import re
from collections.abc import Sequence

import keras_lottery as kl
from keras_lottery.core import granularity as granularities
from keras_lottery.core import lookup
from keras_lottery.search import controls as kinds_of_control


def rewind_policy(text: str) -> kl.rewind.Rewind | None:
    """Return the rewind policy that a text names.

    Args:
        text: `start`, `step:N`, `epoch:N`, `learning_rate` or `none`.

    Raises:
        ValueError: If `text` is none of them.

    >>> rewind_policy("step:500").at
    500
    """
    kind, _, number = text.partition(":")
    points = {"step": kl.rewind.to_step, "epoch": kl.rewind.to_epoch}
    if kind in points and number.isdigit():
        return points[kind](int(number))
    whole = {"start": kl.rewind.to_start, "learning_rate": kl.rewind.learning_rate, "none": None}
    if text not in whole:
        raise ValueError(
            f"No rewind point {text!r}; there are start, step:500, epoch:2, learning_rate and none."
        )
    return whole[text] and whole[text]()


def granularity(text: str) -> granularities.Granularity:
    """Return the granularity that a text names.

    Args:
        text: A function of `kl.granularity`, with its numbers if it takes any.

    Raises:
        ValueError: If there is none of that name, or it takes other numbers.

    >>> granularity("blocks:4"), granularity("n_of_m:2,4"), granularity("units")
    (blocks(4), n_of_m(2, 4), units())
    """
    match = re.fullmatch(r"(\w+)(?::(\d+(?:,\d+)*))?", text)
    if match is None:
        raise ValueError(f"No granularity {text!r}; write units, blocks:4 or n_of_m:2,4.")
    name, numbers = match.groups()
    make = lookup.get(granularities, name)
    try:
        return make(*map(int, numbers.split(",") if numbers else ()))
    except TypeError as error:
        raise ValueError(f"`granularity`={text!r}: {error}.") from error


def controls(
    kinds: Sequence[str], rounds: Sequence[int | str], count: int
) -> dict[str, tuple[int, ...]]:
    """Return the rounds in which each kind of control is trained.

    Args:
        kinds: The names of controls.
        rounds: The rounds; none stand for all.
        count: The number of rounds.

    Raises:
        ValueError: If there is no such control or round.

    >>> controls(["reinit"], ["2", "3"], count=5)
    {'reinit': (2, 3)}
    """
    for kind in kinds:
        if kind not in kinds_of_control.names():
            raise ValueError(
                f"No control {kind!r}; there are {', '.join(kinds_of_control.names())}."
            )
    for index in rounds:
        if not str(index).isdigit() or not 1 <= int(index) <= count:
            raise ValueError(f"No round {index!r} to have controls; there are 1 to {count}.")
    chosen = tuple(sorted(map(int, rounds))) or tuple(range(1, count + 1))
    return dict.fromkeys(kinds, chosen)
