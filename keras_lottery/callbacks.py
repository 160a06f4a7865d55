"""`Prune`: prune inside `model.fit`."""

from collections.abc import Callable, Mapping

import keras

from keras_lottery import backup as backups
from keras_lottery import rewind as policies
from keras_lottery import variables
from keras_lottery.core import criteria, lookup, schedules, scopes
from keras_lottery.core import granularity as granularities
from keras_lottery.core import kept as kept_actions
from keras_lottery.core import pruned as pruned_actions
from keras_lottery.core.granularity import Granularity
from keras_lottery.core.kernel import check_seed
from keras_lottery.lottery import Lottery
from keras_lottery.ticket import Ticket

# How far ahead `next_event` looks for a change of the schedule, in steps.
_HORIZON = 128


class Prune(keras.callbacks.Callback):
    """Prunes by a schedule during `model.fit`, and rewinds after each pruning if told to.

    A pruning takes place before the epoch (or step) at which the schedule asks for more than there
    is, so what a callback sees at the end of an epoch is a trained model. Without a rewind there is
    a last one at the end of training, if it is due; with one there is none, since it would throw
    away what was trained.

    Adds `sparsity` to the logs of every epoch. Its place among the callbacks:
    - before those that read it (`CSVLogger`, `TensorBoard`);
    - after `EarlyStopping(restore_best_weights=True)`, which must start after the last pruning
      (`start_from_epoch`). Weights it restores from before that break the masks: an error at the
      end of training, or, if it comes after `Prune`, where the masks are used next (`strip`, the
      next `fit`, an export);
    - before `BackupAndRestore`, and with a `backup` of its own;
    - before or after `ModelCheckpoint`; but the best epoch that `save_best_only=True` finds by
      `val_loss` is most often an early one, which was denser. Let it save every epoch, with the
      number in the file's name, or only begin with it in a second `fit`, after the last pruning.

    A rewind takes back the optimizer and the learning rate it holds, not what other callbacks
    remember: `ReduceLROnPlateau` goes on counting, `LearningRateScheduler` goes by the epoch.

    Args:
        schedule: A function from the number of epochs (or steps) trained to the sparsity that is
            due, in [0, 1]: one of `keras_lottery.schedules`, your own, or a tfmot
            `PruningSchedule`. What is due at 0 is pruned before any training: too early for a
            criterion that looks back at earlier values.
        criterion: A function `Kernel -> scores` (higher is kept) or the name of one in
            `keras_lottery.criteria`.
        scope: A function `(scores, masks, counts) -> masks` or the name of one in
            `keras_lottery.scopes`.
        granularity: What is pruned as one, of `keras_lottery.granularity`. Defaults to single
            weights.
        overrides: Other schedules for some kernels: a dict from a regular expression, searched in
            the kernel's name, to the schedule. They hold in each of these kernels, whatever the
            scope, which is then over the others.
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

    Raises:
        ValueError: If an argument is wrong. In `fit`: if nothing matched, or the model has masks
            already over other kernels than `include` and `exclude` choose, or with another
            `pruned`, or the masks of an interrupted training are missing.
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
        *,
        criterion: str | Callable = "large_final",
        scope: str | Callable = "layerwise",
        granularity: Granularity | None = None,
        overrides: Mapping[str, Callable] | None = None,
        rewind: policies.Rewind | None = None,
        kept: str | Callable = "rewind",
        pruned: str | Callable = "zero",
        unit: str = "epoch",
        include: variables.Selector | None = None,
        exclude: variables.Selector | None = None,
        seed: int = 0,
        backup: str | None = None,
    ):
        super().__init__()
        check_seed(seed)
        if unit not in ("epoch", "step"):
            raise ValueError(f"`unit` must be 'epoch' or 'step', received {unit!r}.")
        self.schedule = schedules.of(schedule)
        self.overrides = {
            pattern: schedules.of(other) for pattern, other in (overrides or {}).items()
        }
        self.criterion = lookup.get(criteria, criterion)
        self.scope = lookup.get(scopes, scope)
        self.granularity = granularities.of(granularity)
        self.rewind = rewind
        self.kept = lookup.get(kept_actions, kept)
        policies.check(rewind, self.kept)
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
        return Ticket.of(self.lottery, lookup.name_of(self.criterion), lookup.name_of(self.scope))

    # Keras calls these.

    # Or else Keras would wait for every step's logs, because of `on_train_batch_end`.
    async_safe = True

    def on_train_begin(self, logs=None):
        """Attach the masks."""
        self._adopt(self.model)
        self._begun = False
        self._epochs_done = 0
        self._steps_done = 0  # at the beginning of the epoch
        self._served = None
        self._due = None

    def on_epoch_begin(self, epoch, logs=None):
        """Take up an interrupted training; prune and rewind, if an epoch's schedule asks for it."""
        if not self._begun:
            self._begin(epoch)
        self._ended = []
        self._arrive("epoch", epoch)

    def on_train_batch_begin(self, batch, logs=None):
        """Prune and rewind, if a step's schedule asks for it."""
        self._arrive("step", self._steps_done + batch)

    def on_train_batch_end(self, batch, logs=None):
        """Note that a batch has ended. Keras may call this from threads, in any order."""
        self._ended.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        """Verify the masks, and log the sparsity with which the epoch was trained."""
        self.lottery.check()
        if logs is not None:
            logs["sparsity"] = self.lottery.sparsity
        self._epochs_done = epoch + 1
        # The epoch may have been stopped early, and its last execution have been a shorter one.
        steps = max(self._ended, default=-1) + 1
        self._steps_done += min(steps, self.params.get("steps") or steps)
        if self.backup is not None:
            backups.save(self.backup, self.lottery, self._epochs_done)

    def on_train_end(self, logs=None):
        """Verify the masks; prune a last time, if it is due and nothing is rewound."""
        self.lottery.check()
        if self.rewind is None:
            self._prune_if_due(self._epochs_done if self.unit == "epoch" else self._steps_done)
        if self.backup is not None:
            backups.remove(self.backup)

    # What they do.

    def next_event(self, step: int) -> int | None:
        """The next step, after `step`, before which this callback acts: `keras_lottery.fit` stops
        there.

        Args:
            step: How many steps are trained, counted from epoch 0.

        Returns:
            How many will be trained then, or `None` if there is no such step.
        """
        events = []
        if self.unit == "step":
            now = self._targets(step, step)
            ahead = range(step + 1, step + _HORIZON)
            changes = (later for later in ahead if self._targets(later, later) != now)
            events.append(next(changes, step + _HORIZON))
        if not self._point_saved and self.rewind.unit == "step" and self.rewind.at > step:
            events.append(self.rewind.at)
        return min(events, default=None)

    def _adopt(self, model):
        attached = Lottery.of(model)
        if attached is None:
            self.lottery = Lottery(model, self.include, self.exclude, self.pruned, self.seed)
            return
        if attached is not self.lottery:
            self._refuse_other_masks(attached)
        attached.attach()
        attached.check()
        self.lottery = attached

    def _refuse_other_masks(self, attached):
        """A cell of a notebook that is run twice goes on; one that was changed would not do what it
        says."""
        names = list(variables.prunable(attached.model, self.include, self.exclude))
        for what, ours, theirs in (
            ("`include` and `exclude`", names, attached.names),
            ("`pruned`", *(lookup.name_of(action) for action in (self.pruned, attached.pruned))),
        ):
            if ours != theirs:
                raise ValueError(
                    f"The model {attached.model.name!r} has masks already, made with another "
                    f"{what}: {theirs} there, {ours} here. Give the same, or use `strip(model)` to "
                    "take them off."
                )

    def _begin(self, epoch):
        """The first epoch of this `fit`, after as many were trained before."""
        steps = self.params.get("steps")
        if epoch and steps is None and "step" in (self.unit, self.rewind and self.rewind.unit):
            raise ValueError(
                f"Training goes on from epoch {epoch}, and how many steps that is cannot be told: "
                "give `steps_per_epoch` to `fit`."
            )
        self._begun = True
        self._steps_done = epoch * (steps or 0)
        resumed = self.backup is not None and backups.restore(self.backup, self.lottery, epoch)
        done = epoch if self.unit == "epoch" else self._steps_done
        # Masks of an interrupted training that are lost would revive what was pruned.
        if not resumed and done and self.lottery.sparsity == 0:
            if any(self._targets(done - 1, done - 1).values()):
                raise ValueError(
                    f"Training goes on from epoch {epoch}, where the schedule has pruned already, "
                    "and there are no masks of it. Give `backup` (a file name) to keep them beside "
                    f"BackupAndRestore, or a schedule that begins at {self.unit} {done}."
                )
        self._point_saved = (
            self.rewind is None or self.rewind.at == 0 or self.lottery.state.point.step > 0
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
            self.lottery.save_rewind_point(step=done if unit == "step" else self._steps_done)
            self._point_saved = True
        if unit == self.unit:
            self._prune_if_due(done)

    def _prune_if_due(self, done):
        # Several steps may have gone by in one execution.
        targets = self._targets(done if self._served is None else self._served + 1, done)
        self._served = done
        if targets == self._due or not any(targets.values()):
            return
        self._due = targets
        self._sync()
        before = self.lottery.remaining
        self.lottery.prune(
            targets[None],
            overrides={pattern: targets[pattern] for pattern in self.overrides},
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

    def _targets(self, first, last) -> dict[str | None, float]:
        """The most that is due from `first` to `last`: by default (`None`) and for each pattern of
        `overrides`."""

        def most(schedule):
            return max(map(schedule, range(first, last + 1)), default=0.0)

        return {None: most(self.schedule), **{p: most(s) for p, s in self.overrides.items()}}

    def _sync(self):
        # On JAX the variables are empty while an epoch runs: reading `Callback.model` fills them.
        return self.model
