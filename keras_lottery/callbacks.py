"""`Prune`: prune inside `model.fit`."""

from collections.abc import Callable, Mapping

import keras

from keras_lottery import backup as backups
from keras_lottery import variables
from keras_lottery.core import criteria, lookup, schedules, scopes
from keras_lottery.core import kept as kept_actions
from keras_lottery.core import pruned as pruned_actions
from keras_lottery.lottery import Lottery
from keras_lottery.rewind import Rewind
from keras_lottery.ticket import Ticket

# How far ahead `next_event` looks for a change of the schedule, in steps.
_HORIZON = 4096


class Prune(keras.callbacks.Callback):
    """Prunes by a schedule during `model.fit`, and rewinds after each pruning if told to.

    A pruning takes place before the epoch (or step) at which the schedule asks for more than there
    is, so what a callback sees at the end of an epoch is a trained model. Without a rewind there is
    a last one at the end of training, if it is due; with one there is none, since it would throw
    away what was trained.

    Adds `sparsity` to the logs of every epoch. Put it before callbacks that read it (`CSVLogger`,
    `TensorBoard`). `EarlyStopping(restore_best_weights=True)` must start after the last pruning
    (its `start_from_epoch`): weights from before it break the masks, which is an error. With
    `BackupAndRestore`, give `backup` too.

    Args:
        schedule: A function from the number of epochs (or steps) trained to the sparsity that is
            due, in [0, 1]: one of `keras_lottery.schedules`, your own, or a tfmot
            `PruningSchedule`.
        criterion: A function `Kernel -> scores` (higher is kept) or the name of one in
            `keras_lottery.criteria`.
        scope: A function `(scores, masks, counts) -> masks` or the name of one in
            `keras_lottery.scopes`.
        granularity: What is pruned as one, of `keras_lottery.granularity`. Defaults to single
            weights.
        overrides: Other schedules for some kernels: a dict from a regular expression, searched in
            the kernel's name, to the schedule.
        rewind: A policy of `keras_lottery.rewind`, or `None` to train on without rewinding.
        kept: What kept weights become at a rewind: a function of `keras_lottery.core.kept` or its
            name.
        pruned: What pruned weights are held at: a function of `keras_lottery.core.pruned` or its
            name.
        unit: What the schedule counts: `"epoch"` or `"step"`. A step inside one execution of
            `steps_per_execution` steps is served at the end of that execution.
        include: Which kernels to prune: a regular expression or a predicate `(name, shape) ->
            bool`.
        exclude: Which of those to leave alone, likewise.
        seed: Seed of the random choices.
        backup: A file to keep the masks in, so that an interrupted `fit` can go on where
            `BackupAndRestore` takes it up again. It is removed at the end of training.

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

    # Its batch hooks only count, so Keras need not wait for each step's logs.
    async_safe = True

    def __init__(
        self,
        schedule: Callable,
        *,
        criterion: str | Callable = "large_final",
        scope: str | Callable = "layerwise",
        granularity: object | None = None,
        overrides: Mapping[str, Callable] | None = None,
        rewind: Rewind | None = None,
        kept: str | Callable = "rewind",
        pruned: str | Callable = "zero",
        unit: str = "epoch",
        include: variables.Selector | None = None,
        exclude: variables.Selector | None = None,
        seed: int = 0,
        backup: str | None = None,
    ):
        super().__init__()
        if unit not in ("epoch", "step"):
            raise ValueError(f"`unit` must be 'epoch' or 'step', received {unit!r}.")
        if rewind is not None and not isinstance(rewind, Rewind):
            raise ValueError(
                "`rewind` must be None or a policy such as keras_lottery.rewind.to_start(), "
                f"received {rewind!r}."
            )
        if rewind is None and kept != "rewind":
            raise ValueError(
                f"`kept`={kept!r} needs a `rewind`: without one, weights are left alone."
            )
        self.schedule = schedules.of(schedule)
        self.overrides = {
            pattern: schedules.of(other) for pattern, other in (overrides or {}).items()
        }
        self.criterion = lookup.get(criteria, criterion)
        self.scope = lookup.get(scopes, scope)
        self.granularity = granularity
        self.rewind = rewind
        self.kept = lookup.get(kept_actions, kept)
        self.pruned = lookup.get(pruned_actions, pruned)
        self.unit = unit
        self.include = include
        self.exclude = exclude
        self.seed = seed
        self.backup = backup
        self.lottery: Lottery | None = None

    @property
    def ticket(self) -> Ticket:
        """The masks and the values at the rewind point, as a `Ticket`."""
        if self.lottery is None:
            raise ValueError("There is no ticket yet: `fit` has not begun.")
        return Ticket.of(self.lottery, self.criterion.__name__, self.scope.__name__)

    # Keras calls these.

    def on_train_begin(self, logs=None):
        """Attach the masks, or take up the backup of an interrupted fit."""
        self._adopt(self.model)
        self._trained = 0
        self._begin = None
        self._due = None
        self._point_saved = (
            self.rewind is None or self.rewind.at == 0 or self.lottery.state.point.step > 0
        )
        self._resumed_at = None
        if self.backup is not None:
            self._resumed_at = backups.restore(self.backup, self.lottery)

    def on_epoch_begin(self, epoch, logs=None):
        """Prune and rewind, if an epoch's schedule asks for it."""
        if self._begin is None:
            self._begin = epoch
            self._refuse_lost_masks(epoch)
        steps = self.params.get("steps") or self._trained
        self._steps_before = epoch * steps
        self._trained = 0
        self._arrive("epoch", epoch)

    def on_train_batch_begin(self, batch, logs=None):
        """Prune and rewind, if a step's schedule asks for it."""
        self._arrive("step", self._steps_before + batch)

    def on_train_batch_end(self, batch, logs=None):
        """Count the steps of an epoch whose length Keras does not know beforehand."""
        self._trained = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        """Verify the masks, and log the sparsity with which the epoch was trained."""
        self.lottery.check()
        if logs is not None:
            logs["sparsity"] = self.lottery.sparsity
        self._epochs_done = epoch + 1
        if self.backup is not None:
            backups.save(self.backup, self.lottery, epoch + 1)

    def on_train_end(self, logs=None):
        """Prune a last time, if it is due and nothing is rewound; verify the masks."""
        if self.lottery.averaged:
            # Keras has just written the moving averages into the weights, past the train step.
            self.lottery.enforce()
        self.lottery.check()
        if self.rewind is None:
            done = self._epochs_done if self.unit == "epoch" else self._steps_before + self._trained
            self._prune_if_due(done)
        if self.backup is not None:
            backups.remove(self.backup)

    # What they do.

    def next_event(self, step: int) -> int | None:
        """The next step, after `step`, before which this callback acts: `keras_lottery.fit` stops
        there."""
        due = None
        if self.unit == "step":
            now = self._targets(step)
            ahead = range(step + 1, step + _HORIZON + 1)
            due = next((later for later in ahead if self._targets(later) != now), ahead[-1])
        if not self._point_saved and self.rewind.unit == "step" and self.rewind.at > step:
            due = self.rewind.at if due is None else min(due, self.rewind.at)
        return due

    def _adopt(self, model):
        attached = Lottery.of(model)
        if attached is None:
            attached = Lottery(model, self.include, self.exclude, self.pruned, self.seed)
        self.lottery = attached
        self.lottery.attach()

    def _refuse_lost_masks(self, epoch):
        """A fit that goes on from an epoch that was pruned, with no masks, would revive what was
        pruned."""
        if self._resumed_at is not None:
            if self._resumed_at != epoch:
                raise ValueError(
                    f"`backup`={self.backup!r} holds the masks after epoch {self._resumed_at}, and "
                    f"training goes on from epoch {epoch}. Remove the older of the two backups."
                )
        elif self.unit == "epoch" and epoch > 0 and self.lottery.sparsity == 0:
            if max(self._targets(epoch - 1).values()) > 0:
                raise ValueError(
                    f"Training goes on from epoch {epoch}, where the schedule has pruned already, "
                    "and there are no masks of it. Give `backup` (a file name) to keep them beside "
                    f"BackupAndRestore, or a schedule that begins at epoch {epoch}."
                )

    def _arrive(self, unit, done):
        """`done` epochs or steps are trained: save the rewind point or prune, if that is due
        now."""
        if not self._point_saved and unit == self.rewind.unit and done >= self.rewind.at:
            if done > self.rewind.at:
                raise ValueError(
                    f"The rewind point, {unit} {self.rewind.at}, cannot be saved: training is at "
                    f"{unit} {done} already. It must be the end of an execution of "
                    "`steps_per_execution` steps."
                )
            self._sync()
            self.lottery.save_rewind_point(step=done if unit == "step" else self._steps_before)
            self._point_saved = True
        if unit == self.unit:
            self._prune_if_due(done)

    def _prune_if_due(self, done):
        targets = self._targets(done)
        if targets == self._due or not any(targets.values()):
            return
        self._due = targets
        self._sync()
        before = self.lottery.remaining
        overrides = {pattern: targets[pattern] for pattern in self.overrides}
        self.lottery.prune(
            targets[None],
            overrides=overrides,
            criterion=self.criterion,
            scope=self.scope,
            granularity=self.granularity,
        )
        if self.rewind is None or self.lottery.remaining == before:
            return
        if not self._point_saved:
            raise ValueError(
                f"The schedule prunes at {self.unit} {done}, before the rewind point "
                f"({self.rewind.unit} {self.rewind.at}) is reached: let it begin later."
            )
        self.rewind.restore(self.lottery, self.kept)

    def _targets(self, done) -> dict[str | None, float]:
        """The sparsity that is due: by default (`None`) and for each pattern of `overrides`."""
        return {
            None: self.schedule(done),
            **{pattern: schedule(done) for pattern, schedule in self.overrides.items()},
        }

    def _sync(self):
        # On JAX the variables are empty while an epoch runs, until the trainer writes them back.
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
