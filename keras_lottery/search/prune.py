"""`Prune`: prune inside `model.fit`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_lottery import scorers
from keras_lottery.core import lookup, made
from keras_lottery.core.kernel import check_seed
from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import keras_internals
from keras_lottery.search import neighbours, resuming
from keras_lottery.search import rewind as policies
from keras_lottery.search.adoption import adopt
from keras_lottery.search.announcer import Announcer
from keras_lottery.search.clock import Clock
from keras_lottery.search.layer_log import LayerLog
from keras_lottery.search.planned import Planned
from keras_lottery.tickets import backup as backups
from keras_lottery.tickets.ticket import Ticket
from keras_lottery.training import distribution

# How far ahead `next_event` looks for a change of the schedule, in steps.
_HORIZON = 128


class Prune(keras.callbacks.Callback):
    """Prunes by a schedule during `model.fit`, and rewinds after each pruning if told to.

    A pruning takes place before the epoch (or step) at which the schedule asks for more sparsity
    than the model has, so a callback sees a trained model at the end of an epoch. At the end of
    training there is a last pruning if it is due. With `rewind` there is none, since the rewind
    would throw away what was trained.

    The logs of every epoch get `sparsity`, with which the epoch was trained. The history also gets
    `sparsity_after`, the sparsity after the pruning that followed the epoch; its last value is the
    sparsity of the trained model. The place of `Prune` among the callbacks:
    - before callbacks that read the sparsity (`CSVLogger`, `TensorBoard`, which also gets every
      kernel's sparsity and threshold, as the run `pruning`);
    - before `BackupAndRestore`, and with a `backup` of its own;
    - before or after `EarlyStopping(restore_best_weights=True)`, which must begin after the last
      pruning (`start_from_epoch`), else `fit` raises an error before training;
    - before or after `ModelCheckpoint`; with `save_best_only=True` let it begin in a second `fit`,
      after the last pruning, since earlier epochs are denser; else `fit` warns.

    A `fit` counts from its `initial_epoch`, and so does the schedule: in a loop of single epochs
    write `fit(initial_epoch=epoch, epochs=epoch + 1)`. `fit` warns if it ends before the schedule.

    A rewind takes back the optimizer and its learning rate, not the memory of other callbacks:
    `ReduceLROnPlateau` goes on counting, `LearningRateScheduler` goes by the epoch.

    Args:
        schedule: A function from the number of epochs (or steps) trained to the sparsity that is
            due, in [0, 1]: one of `keras_lottery.schedules`, your own, or a tfmot
                `PruningSchedule`. A target at 0 is pruned to before any training: too early for a
                criterion that looks back at earlier values.
        recipe: How to rank, drop and restart weights: a `keras_lottery.Recipe`, whose settings are
            `criterion`, `scope`, `granularity`, `restart_from`, `hold_at`, `include`, `exclude` and
            `otherwise`; or a criterion alone, such as `"movement"`.
        overrides: Other schedules for some kernels: a dict from a regular expression, searched in
            the kernel's name, to the schedule. They hold in each of these kernels, whatever the
                scope, which then covers the other kernels.
        data: The data that a criterion such as `"snip"` measures with: a pair of arrays `(x, y)`,
            or batches of such pairs that can be read again.
        rewind: A policy of `keras_lottery.rewind`, or `None` to train on without rewinding.
        unit: The unit that the schedule counts: `"epoch"` or `"step"`. A pruning that is due inside
            one execution of `steps_per_execution` steps takes place at the end of that execution.
        seed: Seed of the random choices.
        backup: A file to save the masks in, so that an interrupted `fit` can go on where
            `BackupAndRestore` resumes it. The file stays after training, as only you know when the
            result is safe; a `fit` that begins anew replaces it.

    Raises:
        ValueError: If an argument is wrong. In `fit`: if a pattern matches no kernel, or the model
            has masks already over other kernels or with another `hold_at` than the recipe's, or the
            masks of an interrupted training are missing or do not belong to the weights, or another
            callback would restore a denser epoch.
        MaskError: In `fit`, at the end of an epoch: if a pruned weight does not have the value it
            is held at.

    Example:

    >>> import numpy as np
    >>> from keras_lottery import schedules
    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10)])
    >>> model.compile("sgd", "mse")
    >>> prune = Prune(schedules.polynomial(0.5, begin=0, end=2))
    >>> x = np.ones((8, 10))
    >>> history = model.fit(x, x, epochs=4, verbose=0, callbacks=[prune])
    >>> [round(s, 2) for s in history.history["sparsity"]]
    [0.0, 0.44, 0.5, 0.5]
    """

    def __init__(
        self,
        schedule: Callable,
        recipe: How = Recipe(),  # noqa: B008 (a frozen record)
        *,
        overrides: Mapping[str, Callable] | None = None,
        data: Any = None,
        rewind: policies.Rewind | None = None,
        unit: str = "epoch",
        seed: int = 0,
        backup: str | None = None,
    ) -> None:
        super().__init__()
        distribution.refuse_cluster()
        check_seed(seed)
        if unit not in ("epoch", "step"):
            raise ValueError(f"`unit` must be 'epoch' or 'step', received {unit!r}.")
        self._schedules = {"schedule": schedule, "overrides": dict(overrides or {})}
        self._planned = Planned.of(schedule, overrides)
        self._announcer = Announcer(self._planned, unit, rewinds=rewind is not None)
        self.recipe = as_recipe(recipe)
        policies.check(rewind, self.recipe)
        scorers.check((self.recipe, *(one for _, one in self.recipe.otherwise)), data=data)
        self.data = data
        self.rewind: Any = rewind  # a `Rewind` or `None`
        self.unit = unit
        self.seed = seed
        self.backup = backup
        self.lottery: Any = None  # a `Lottery`, once a training has begun

    def __repr__(self) -> str:
        """Say where it prunes to, how, and how far it has come."""
        so_far = "" if self.lottery is None else f"; {self.lottery.sparsity:.4g} now"
        how = ", ".join(map(lookup.name_of, (self.recipe.criterion, self.recipe.scope)))
        rewinding = "" if self.rewind is None else f", rewinding {self.rewind}"
        return f"<Prune {self._planned.describe(self.unit)}: {how}{rewinding}{so_far}>"

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
        """Attach the masks, and check the other callbacks."""
        distribution.refuse_workers(self.model)
        before, after = neighbours.around(self)
        self._keeper = resuming.look_at(before, after, self.backup, "Prune")
        self._continued = Lottery.on(self.model) is not None
        self.lottery = adopt(self.model, self.lottery, self.recipe, self.seed)
        self._announcer.begin(self.lottery, before, after)
        self._clock = Clock(self.model, self.params.get("steps"))
        self._log = LayerLog([*before, *after])
        self._begun = False
        self._last_asked: int | None = None
        self._last_targets: dict[str | None, float] | None = None
        self._event: _Event | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Resume an interrupted training; prune and rewind if a schedule of epochs asks for it."""
        if self._begun:
            self._event = None
        else:
            self._begin(epoch)
            self._look_ahead(self._clock.steps_per_epoch)
        self._act_after("epoch", epoch, batch=0)
        self._clock.begin_epoch()
        if epoch > self._first_epoch:
            self._announcer.note_epoch()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Prune and rewind if a schedule of steps asks for it."""
        self._act_after("step", self._clock.steps + batch, batch)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note that a batch has ended. Keras may call this from threads, in any order."""
        self._clock.note_batch(batch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Verify the masks, and log the sparsity with which the epoch was trained."""
        sparsity = self.lottery.sparsity
        if self._event is not None and self._event.batch >= self._clock.batches:
            # The pruning was for a batch that was announced and never came.
            sparsity = self._event.sparsity
            self._repeat()
        self.lottery.check()
        if logs is not None:
            logs["sparsity"] = sparsity
        before = self._clock.steps
        self._clock.end_epoch(epoch)
        self._look_ahead(self._clock.steps - before)
        self._log.write(self.lottery, self.recipe, epoch)
        if self.backup is not None:
            backups.save(self.backup, self.lottery, self._clock.epochs, self._clock.steps)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Verify the masks, and prune a last time if it is due and there is no `rewind`."""
        if not self._begun:
            # There was no epoch to do.
            self._begin(keras_internals.resumed_at(self.model) or self.params["epochs"])
        self.lottery.check()
        if self.rewind is None:
            self._prune_if_due(self._clock.epochs if self.unit == "epoch" else self._clock.steps)
        if self._clock.epochs > self._first_epoch:
            self._announcer.note_epoch()
        self._announcer.end(self._clock.epochs)
        self._log.close()
        if self.backup is not None:
            backups.mark_finished(self.backup)

    # What they do.

    def next_event(self, step: int) -> int | None:
        """Return the next step after which this callback acts, where `keras_lottery.fit` stops.

        Args:
            step: The number of trained steps, counted from epoch 0.

        Returns:
            A number of trained steps above `step`, or `None` if there is no such step.
        """
        events = []
        if self.unit == "step":
            now = self._planned.targets(step, step)
            ahead = range(step + 1, step + _HORIZON)
            changes = (later for later in ahead if self._planned.targets(later, later) != now)
            events.append(next(changes, step + _HORIZON))
        if not self._point_saved and self.rewind.unit == "step" and self.rewind.at > step:
            events.append(self.rewind.at)
        return min(events, default=None)

    def _begin(self, epoch: int) -> None:
        """Begin a `fit` after this number of epochs was trained before."""
        self._begun, self._first_epoch = True, epoch
        steps = resuming.take_up(self.backup, self.lottery, epoch, self._keeper, self._continued)
        resumed = steps is not None
        self._clock.begin(epoch, self._steps_of(epoch) if steps is None else steps)
        done = epoch if self.unit == "epoch" else self._clock.steps
        if not resumed and self.lottery.sparsity == 0 and self._planned.prunes_before(done):
            resuming.refuse_lost_masks(epoch, f"{self.unit} {done}")
        self._point_saved = (
            self.rewind is None or self.rewind.at == 0 or self.lottery.state.point.step > 0
        )

    def _steps_of(self, epoch: int) -> int:
        steps = self._clock.steps_per_epoch
        if epoch and steps is None and "step" in (self.unit, self.rewind and self.rewind.unit):
            raise ValueError(
                f"Training goes on from epoch {epoch}, and the number of steps before it is not "
                "known: give `steps_per_epoch` to `fit`."
            )
        return epoch * (steps or 0)

    def _look_ahead(self, steps: int | None) -> None:
        self._announcer.look_ahead(
            self._first_epoch, self.params["epochs"], steps, self.model.steps_per_execution
        )

    def _act_after(self, unit: str, done: int, batch: int) -> None:
        """Save the rewind point or prune if that is due after `done` epochs or steps.

        `batch` is the number of the next batch in its epoch.
        """
        if not self._point_saved and unit == self.rewind.unit and done >= self.rewind.at:
            if done > self.rewind.at:
                raise ValueError(
                    f"The rewind point, {unit} {self.rewind.at}, cannot be saved: training is at "
                    f"{unit} {done} already. It must be the end of an execution of "
                    "`steps_per_execution` steps."
                )
            self._sync()
            self.lottery.save_rewind_point(step=done if unit == "step" else self._clock.steps)
            self._point_saved = True
        if unit == self.unit:
            sparsity = self.lottery.sparsity
            if self._prune_if_due(done):
                self._event = _Event(batch, sparsity)
                self._rewind(done)

    def _prune_if_due(self, done: int) -> bool:
        """Prune to the targets of the schedules, and return whether any weight was pruned."""
        # Several steps may have gone by in one execution.
        first = done if self._last_asked is None else self._last_asked + 1
        targets = self._planned.targets(first, done)
        self._last_asked = done
        if targets == self._last_targets or not any(targets.values()):
            return False
        self._last_targets = targets
        self._sync()
        before = self.lottery.alive_counts
        self.lottery.prune(
            targets[None],
            overrides={pattern: target for pattern, target in targets.items() if pattern},
            # The kernels stay those that the masks were made for.
            recipe=dataclasses.replace(
                self.recipe,
                include=self.lottery.recipe.include,
                exclude=self.lottery.recipe.exclude,
            ),
            data=self.data,
        )
        self._record_search()
        self._announcer.note_pruning(targets)
        return self.lottery.alive_counts != before

    def _rewind(self, done: int) -> None:
        if self.rewind is None:
            return
        if not self._point_saved:
            raise ValueError(
                f"The schedule prunes at {self.unit} {done}, before the rewind point "
                f"({self.rewind.unit} {self.rewind.at}) is reached: let it begin later."
            )
        iterations = self._clock.iterations
        self.rewind.restore(self.lottery)
        self._clock.note_rewind(iterations)

    def _repeat(self) -> None:
        """Prune and rewind again, since JAX has put back the variables of before the pruning, and
        TensorFlow has counted a step of the optimizer."""
        self.lottery.set_masks(self.lottery.masks)
        if self.rewind is not None:
            self.rewind.restore(self.lottery)

    def _record_search(self) -> None:
        self.lottery.record_search(
            {
                "door": "Prune",
                "recipe": self.recipe.to_json(),
                **made.to_json(self._schedules),
                "unit": self.unit,
                "rewind": made.to_json(self.rewind),
            }
        )

    def _sync(self) -> None:
        # On JAX the variables are empty while an epoch runs: reading `Callback.model` fills them.
        return self.model


@dataclasses.dataclass(frozen=True)
class _Event:
    """A pruning: before which batch of the epoch, and from which sparsity."""

    batch: int
    sparsity: float
