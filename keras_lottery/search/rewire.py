"""`Rewire`: wires that move inside `model.fit`."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras

from keras_lottery import scorers
from keras_lottery.core import event, lookup, made
from keras_lottery.core.kernel import check_seed
from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.masks import events
from keras_lottery.masks.lottery import Lottery
from keras_lottery.search import neighbours, resuming
from keras_lottery.search.adoption import adopt
from keras_lottery.search.clock import Clock
from keras_lottery.tickets import backup as backups
from keras_lottery.tickets.ticket import Ticket
from keras_lottery.training import distribution

# Densities of the layers at the start, and the scope that gives them.
STARTS = {"erk": "erdos_renyi", "uniform": "layerwise"}


class Rewire(keras.callbacks.Callback):
    """Trains a sparse network whose wires move, during `model.fit`: SET and RigL.

    Every so many steps a fraction of each kernel's live weights is dropped, the smallest, and as
    many others grow. The sparsity stays, exactly. The fraction falls by a cosine from `fraction` to
    zero at `until` of the training, after which the masks stay (Mocanu et al. 2018, "SET",
    https://arxiv.org/abs/1707.04780, where wires grow at random; Evci et al. 2020, "RigL", section
    3, https://arxiv.org/abs/1911.11134, where they grow by the size of the gradient). The gradient
    is that over `data`, where the paper takes the next batch's; and no training step is left out.

    What grows starts at zero, with the optimizer's slots at their initial value. What is dropped
    and comes straight back keeps its value.

    `fit` has to know its number of steps. Its place among the callbacks is before
    `BackupAndRestore`, and with a `backup` of its own; `EarlyStopping(restore_best_weights=True)`
    must begin after the last rewiring.

    Args:
        sparsity: The sparsity of the network, in (0, 1); `None` where `start` is a ticket, or the
            model has masks already, which then say it.
        recipe: A `keras_lottery.Recipe`: its criterion says what is dropped, by default the
            smallest weights; its scope must be `"layerwise"`, its granularity single weights,
            blocks or units. Or a criterion alone.
        grow: What grows, by the highest scores: `"random"` (SET), `"gradient"` (RigL), or another
            criterion or scorer.
        start: The first masks, at random: `"erk"`, with densities by the Erdos-Renyi-kernel rule,
            or `"uniform"`, with the same in every layer. Or a `Ticket`, whose weights the network
            starts from, too. A model that is sparse already keeps its masks.
        data: What `grow` measures with, if it does: a pair of arrays `(x, y)`, or batches of such
            pairs that can be read again.
        fraction: The fraction of live weights to drop at first, in (0, 1).
        every: How many steps lie between two rewirings.
        until: The fraction of the training's steps after which nothing moves, in (0, 1].
        seed: Seed of the random choices.
        backup: A file to keep the masks in, as for `Prune`.

    Raises:
        ValueError: If an argument is wrong. In `fit`: as from `Prune`; or the number of steps is
            not known, or the masks on the model are of another sparsity.
        MaskError: In `fit`, at the end of an epoch: if a pruned weight is not zero.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10)])
    >>> model.compile("sgd", "mse")
    >>> x = np.ones((8, 10))
    >>> rewire = Rewire(0.9, every=2, start="uniform")
    >>> history = model.fit(x, x, batch_size=2, epochs=3, verbose=0, callbacks=[rewire])
    >>> rewire.steps, [round(s, 2) for s in history.history["sparsity"]]
    ([2, 4, 6, 8], [0.9, 0.9, 0.9])
    """

    def __init__(
        self,
        sparsity: float | None,
        recipe: How = Recipe(),  # noqa: B008 (a frozen record)
        *,
        grow: str | Callable[..., Any] = "random",
        start: str | Ticket = "erk",
        data: Any = None,
        fraction: float = 0.3,
        every: int = 100,
        until: float = 0.75,
        seed: int = 0,
        backup: str | None = None,
    ) -> None:
        super().__init__()
        distribution.refuse_cluster()
        check_seed(seed)
        self.recipe = as_recipe(recipe)
        for one in _parts(self.recipe):
            event.refuse_what_cannot_grow(one.granularity)
            if one.scope != "layerwise":
                events.refuse_what_cannot_grow(one, ["kernel"])
        scorers.check([*_parts(self.recipe), Recipe(grow)], data=data)
        _check_numbers(sparsity, start, fraction, every, until)
        self.sparsity = sparsity
        self.grow = grow
        self.start = start
        self.data = data
        self.fraction = fraction
        self.every = every
        self.until = until
        self.seed = seed
        self.backup = backup
        self.lottery: Any = None  # a `Lottery`, once a training has begun
        self.steps: list[int] = []  # after how many steps was rewired, in the last `fit`

    def __repr__(self) -> str:
        """What moves how often."""
        grow = lookup.name_of(scorers.resolve(self.grow))
        return (
            f"<Rewire {self.fraction:.4g} of the live weights every {self.every} steps until "
            f"{self.until:.4g} of the training, growing by {grow}>"
        )

    @property
    def ticket(self) -> Ticket:
        """The masks and the values at the rewind point, as a `Ticket`."""
        if self.lottery is None:
            raise ValueError("There is no ticket yet: `fit` has not begun.")
        return Ticket.of(self.lottery)

    # Keras calls these.

    # Or else Keras would wait for every step's logs, because of `on_train_batch_end`.
    async_safe = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Attach the masks, and look at the callbacks beside this one."""
        distribution.refuse_workers(self.model)
        before, after = neighbours.around(self)
        self._keeper = resuming.look_at(before, after, self.backup, "Rewire")
        steps = self.params.get("steps")
        if not steps:
            raise ValueError(
                "How many steps this training has cannot be told, and `until` goes by it: give "
                "`steps_per_epoch` to `fit`."
            )
        self._end = self.until * steps * self.params["epochs"]
        _refuse_early_choice((*before, *after), math.ceil(self._end / steps))
        attached = Lottery.on(self.model)
        self._continued = attached is not None
        if isinstance(self.start, Ticket) and attached is None:
            self.lottery = self.start.apply(self.model)
        elif isinstance(self.start, Ticket) and attached is not self.lottery:
            raise ValueError(
                f"`start` is a ticket, and the model {self.model.name!r} has masks already: use "
                "`strip(model)` to take them off, or leave `start` out to go on with them."
            )
        self.lottery = adopt(self.model, self.lottery, self.recipe, self.seed)
        events.refuse_what_cannot_grow(self.recipe, self.lottery.names)
        self._clock = Clock(self.model, steps)
        self._begun = False
        self._served = 0
        self.steps = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Make the first masks, or take up an interrupted training."""
        if not self._begun:
            self._begin(epoch)
        self._clock.begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Rewire, if it is time."""
        # TensorFlow may announce a batch that never comes: the next epoch begins with its step.
        if batch >= self.params["steps"]:
            return
        done = self._clock.steps + batch
        due = done // self.every > self._served // self.every and done < self._end
        self._served = max(done, self._served)
        if due:
            self._rewire(done)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note that a batch has ended. Keras may call this from threads, in any order."""
        self._clock.note_batch(batch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Verify the masks, and log the sparsity."""
        self.lottery.check()
        if logs is not None:
            logs["sparsity"] = self.lottery.sparsity
        self._clock.end_epoch(epoch)
        if self.backup is not None:
            backups.save(self.backup, self.lottery, self._clock.epochs, self._clock.steps)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Verify the masks."""
        self.lottery.check()
        if self.backup is not None:
            backups.mark_finished(self.backup)

    # What they do.

    def next_event(self, step: int) -> int | None:
        """The next step, after `step`, before which this callback acts: `keras_lottery.fit` stops
        there.

        Args:
            step: How many steps are trained, counted from epoch 0.

        Returns:
            How many will be trained then, or `None` if there is no such step.
        """
        following = (step // self.every + 1) * self.every
        return following if following < self._end else None

    def _begin(self, epoch: int) -> None:
        self._begun = True
        steps = resuming.take_up(self.backup, self.lottery, epoch, self._keeper, self._continued)
        if steps is None:
            steps = epoch * self.params["steps"]
        self._clock.begin(epoch, steps)
        self._served = max(0, steps - 1)
        if self.lottery.sparsity == 0:
            self._make_masks(epoch)
        elif self.sparsity is not None and abs(self.lottery.sparsity - self.sparsity) > 0.01:
            raise ValueError(
                f"`sparsity` is {self.sparsity:.4g}, and the model {self.model.name!r} has masks "
                f"of {self.lottery.sparsity:.4g} already: give None to go on with them, or use "
                "`strip(model)` to take them off."
            )

    def _make_masks(self, epoch: int) -> None:
        if epoch:
            raise ValueError(
                f"Training goes on from epoch {epoch}, and there are no masks of it. Give `backup` "
                "(a file name) to keep them beside BackupAndRestore; or take them from the zeros "
                "in weights that were saved: `Lottery.from_zeros(model)` before `fit`."
            )
        if self.sparsity is None:
            raise ValueError(
                f"`sparsity` is None, and the model {self.model.name!r} is not sparse: say how "
                "sparse it is to be."
            )
        assert isinstance(self.start, str)
        changes = {"criterion": "random", "scope": STARTS[self.start]}
        recipe = dataclasses.replace(
            self.lottery.recipe,
            otherwise=tuple(
                (pattern, dataclasses.replace(one, **changes))
                for pattern, one in self.lottery.recipe.otherwise
            ),
            **changes,
        )
        self.lottery.prune(self.sparsity, recipe=recipe)
        self._record_search()

    def _rewire(self, done: int) -> None:
        # On JAX the variables are empty while an epoch runs: reading `Callback.model` fills them.
        assert self.model is not None
        fraction = self.fraction / 2 * (1 + math.cos(math.pi * done / self._end))
        kept = self.lottery.recipe
        recipe = dataclasses.replace(self.recipe, include=kept.include, exclude=kept.exclude)
        self.lottery.rewire(fraction, grow=self.grow, recipe=recipe, data=self.data)
        self.steps.append(done)
        self._record_search()

    def _record_search(self) -> None:
        names = ("sparsity", "fraction", "every", "until")
        settings = {name: getattr(self, name) for name in names}
        self.lottery.record_search(
            {
                "door": "Rewire",
                "recipe": self.recipe.to_json(),
                **made.to_json(settings),
                "grow": lookup.name_of(scorers.resolve(self.grow)),
                "start": self.start if isinstance(self.start, str) else "ticket",
            }
        )


def _parts(recipe: Recipe) -> list[Recipe]:
    """A recipe, and those of the kernels that have another."""
    return [recipe, *(one for _, one in recipe.otherwise)]


def _check_numbers(
    sparsity: float | None, start: str | Ticket, fraction: float, every: int, until: float
) -> None:
    if isinstance(start, Ticket):
        if sparsity is not None:
            raise ValueError(
                f"`start` is a ticket, which has its own sparsity: give None for `sparsity`, "
                f"received {sparsity!r}."
            )
    elif start not in STARTS:
        raise ValueError(f"`start` must be {' or '.join(STARTS)}, or a Ticket, received {start!r}.")
    for name, value in (("sparsity", sparsity), ("fraction", fraction)):
        if value is not None and (isinstance(value, bool) or not 0 < value < 1):
            raise ValueError(f"`{name}` must be in (0, 1), received {value!r}.")
    if isinstance(until, bool) or not 0 < until <= 1:
        raise ValueError(f"`until` must be in (0, 1], received {until!r}.")
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"`every` must be a positive number of steps, received {every!r}.")


def _refuse_early_choice(callbacks: Any, epoch: int) -> None:
    """Weights of an epoch before the last rewiring have other masks."""
    for one in callbacks:
        if getattr(one, "restore_best_weights", False) and one.start_from_epoch < epoch:
            raise ValueError(
                f"{type(one).__name__}(restore_best_weights=True) may put back an epoch from "
                f"before the last rewiring (epoch {epoch}), whose masks are others: write "
                f"`start_from_epoch={epoch}`."
            )
