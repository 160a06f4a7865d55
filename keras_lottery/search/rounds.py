"""`rounds`: iterative pruning as a loop whose body is the user's own training."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_lottery import scorers
from keras_lottery.core import made
from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.core.schedules import constant
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import State
from keras_lottery.search import rewind as policies
from keras_lottery.search.controls import Controls, Start
from keras_lottery.search.prune import Prune
from keras_lottery.tickets import metadata
from keras_lottery.tickets.ticket import Ticket

_NOTHING = constant(0.0)


@dataclasses.dataclass(frozen=True)
class Round:
    """One round of iterative pruning, before its training.

    Args:
        index: The number of prunings so far; 0 is the dense network.
        model: The compiled model to train, masks attached. It is the same model in every round.
        ticket: The masks of this round and the values at the rewind point.
        alive_counts: The number of live weights of each kernel, by name.
        sparsity: The fraction of all kernels' weights that is pruned, in [0, 1].
        callbacks: The callbacks to give to `model.fit`. They verify the masks at every epoch and
            log the sparsity; with a rewind point during training, round 0 needs them to save it.
        initial_epoch: The `initial_epoch` to give to `model.fit`: the epoch that training is
            rewound to, else 0, also after a rewind to a step.
        controls: A dict from the name of a control to a function of a seed that makes its model;
            see `control`.
    """

    index: int
    model: keras.Model
    ticket: Ticket
    alive_counts: dict[str, int]
    sparsity: float
    callbacks: list[keras.callbacks.Callback]
    initial_epoch: int
    controls: Mapping[str, Callable[[int], keras.Model]]

    @property
    def remaining(self) -> float:
        """The fraction of all kernels' weights that is alive, in [0, 1]."""
        return 1 - self.sparsity

    def control(self, kind: str, seed: int = 0) -> keras.Model:
        """Make a compiled model of the same sparsity that is no ticket, to compare with.

        Args:
            kind: `"reinit"` (the ticket's masks on a model of its own, weights drawn anew: train it
                from step 0 whatever the rewind point), `"random_mask"` (the ticket's initial values
                under a random mask with the same counts in each kernel, drawn at the same
                granularity; in blocks that do not divide their axis the counts may differ a little,
                as the last ones are smaller) or `"shuffle_layerwise"` (the same values under each
                    kernel's own mask, permuted weight by weight: the counts are the same). In these
                    two, survivors restart as in the search, by its `restart_from`; an action that
                    looks at trained weights gets those of the rewind point.
            seed: Seed of the control's random choices.

        Returns:
            A model with masks attached. The next call for the same kind, in this round or another,
            returns the same model, set up anew.

        Raises:
            ValueError: If there is no such control.
        """
        if kind not in self.controls:
            raise ValueError(f"No control {kind!r}; there are {', '.join(self.controls)}.")
        return self.controls[kind](seed)


def rounds(
    make_model: Callable[[], keras.Model],
    count: int,
    rate: float = 0.2,
    recipe: How = Recipe(),  # noqa: B008 (a frozen record)
    *,
    overrides: Mapping[str, float] | None = None,
    data: Any = None,
    rewind: policies.Rewind | None = policies.to_start(),  # noqa: B008 (a frozen record)
    seed: int = 0,
    start: Ticket | None = None,
) -> Iterator[Round]:
    """Train, prune, rewind, repeat (Frankle & Carbin 2019, section 2, "iterative pruning").

    Yields `count + 1` rounds. The loop's body trains `round.model`; then the lowest-ranked weights
    are pruned and the rest rewound for the next round. `count=1` is one-shot pruning. Nothing is
    pruned after the last round.

    Args:
        make_model: Makes a built and compiled model. Called once, and once more for each kind of
            control.
        count: The number of prunings.
        rate: The fraction of the live weights to prune each time, in [0, 1].
        recipe: How to rank, drop and restart weights: a `keras_lottery.Recipe`, whose settings are
            `criterion`, `scope`, `granularity`, `restart_from`, `hold_at`, `include`, `exclude` and
            `otherwise`; or a criterion alone, such as `"movement"`.
        overrides: Other rates for some kernels: a dict from a regular expression, searched in the
            kernel's name, to the rate. Frankle & Carbin prune the output layer at half the rate.
        data: The data that a criterion such as `"snip"` measures with: a pair of arrays `(x, y)`,
            or batches of such pairs that can be read again.
        rewind: A policy of `keras_lottery.rewind`, or `None` to train on from the trained weights
            (fine-tuning). If it rewinds to a step or epoch of training, pass
                `callbacks=round.callbacks` to `fit`, and train later rounds only for what is left:
                after a rewind to an epoch with `initial_epoch=round.initial_epoch`, after a rewind
                to step k of T for T - k steps, as `fit` cannot begin in the middle of an epoch.
        seed: Seed of the random choices.
        start: The `ticket` of a round of an earlier run with the same arguments. The loop begins
            with that round instead of round 0, and goes on as that run did. A ticket does not hold
            the trained weights that `least_change` and `rewind_unless_shrinking` look back at.

    Yields:
        A `Round`.

    Raises:
        ValueError: If an argument is wrong, or differs from those of the run that `start` is from,
            or round 0 did not reach the rewind point.
        MaskError: If the body's training broke the masks.

    Example:

    >>> import numpy as np
    >>> def make_model():
    ...     model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, name="fc1")])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> x = np.ones((4, 8))
    >>> for r in rounds(make_model, count=2, rate=0.5):
    ...     history = r.model.fit(x, np.ones((4, 10)), verbose=0)
    ...     print(r.index, r.remaining, r.alive_counts)
    0 1.0 {'fc1/kernel': 80}
    1 0.5 {'fc1/kernel': 40}
    2 0.25 {'fc1/kernel': 20}
    """
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"`count` must be an integer of 0 or more, received {count!r}.")
    recipe = as_recipe(recipe)
    policies.check(rewind, recipe)
    scorers.check((recipe, *(one for _, one in recipe.otherwise)), data=data)
    record = {
        "door": "rounds",
        "recipe": recipe.to_json(),
        "rate": float(rate),
        "overrides": {pattern: float(other) for pattern, other in (overrides or {}).items()},
        "rewind": made.to_json(rewind),
    }
    first = 0
    if start is not None:
        first = _round_of(start, rewind, count)
        metadata.refuse_differences(start.metadata, {**record, "seed": seed, "rewind_step": 0})

    def masked(model: keras.Model) -> Lottery:
        return Lottery(model, recipe, seed=seed)

    def search() -> Iterator[Round]:
        lottery = masked(make_model())
        if start is not None:
            _move_to(lottery, start, events=start.metadata.get("events", first))
            lottery.rewind(None if first else "rewind")
        lottery.record_search(record)
        controls = Controls(lambda: masked(make_model()))
        for index in range(first, count + 1):
            if index > first:
                lottery.prune(rate=rate, overrides=overrides, data=data)
                lottery.record_search(record)
                if rewind is not None:
                    rewind.restore(lottery)
            late = rewind is not None and rewind.unit == "epoch" and index > 0
            ticket = Ticket.of(lottery, rounds=index)
            action = None if index else "rewind"  # round 0 is not rewound
            yield Round(
                index=index,
                model=lottery.model,
                ticket=ticket,
                alive_counts=lottery.alive_counts,
                sparsity=lottery.sparsity,
                callbacks=[Prune(_NOTHING, _unmeasured(recipe), rewind=rewind)],
                initial_epoch=rewind.at if rewind and late else 0,
                controls=controls.at(
                    Start(index, ticket.masks, lottery.state.point, action, recipe)
                ),
            )
            lottery.check()
            if rewind is not None and rewind.at > 0 and lottery.state.point.step == 0:
                raise ValueError(
                    f"Round {index} ended before the rewind point, {rewind.unit} {rewind.at}, was "
                    "saved: train at least that long, with `callbacks=round.callbacks`."
                )

    return search()


def _unmeasured(recipe: Recipe) -> Recipe:
    """The same recipe for a `Prune` that prunes nothing, and so needs no data to measure with."""
    otherwise = {
        pattern: dataclasses.replace(one, criterion="large_final")
        for pattern, one in recipe.otherwise
    }
    return dataclasses.replace(recipe, criterion="large_final", otherwise=otherwise)


def _round_of(ticket: Ticket, rewind: policies.Rewind | None, count: int) -> int:
    """The round that a ticket is of, if a search can go on from it."""
    if rewind != policies.to_start():
        raise ValueError(
            "`start` needs `rewind=to_start()`: a ticket holds neither trained weights nor an "
            "optimizer's state."
        )
    index = ticket.metadata.get("rounds")
    if index is None or index > count:
        raise ValueError(
            f"`start` must be the ticket of a round up to `count`={count}, received one of round "
            f"{index}."
        )
    return index


def _move_to(lottery: Lottery, ticket: Ticket, events: int) -> None:
    """Give a `Lottery` the masks and the rewind point of a ticket."""
    ticket = ticket.renamed(lottery.model)
    lottery.load_state(
        State(
            masks=ticket.masks,
            held_values=ticket.held_values if lottery.holds_nonzero else {},
            previous={},
            point=dataclasses.replace(lottery.state.point, values=ticket.values),
            events=events,
        )
    )
