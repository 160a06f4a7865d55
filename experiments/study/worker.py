"""`work` runs a study's trials, one after another, until there is none left."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from experiments import methods
from experiments.datasets import Dataset
from experiments.engine import Engine, Listener
from experiments.experiment import Experiment
from experiments.methods import DENSE, TICKET, Planned
from experiments.pieces.store import Store
from experiments.results import Result, of_plan
from experiments.settings import Settings
from experiments.study import storage
from experiments.study.definition import Definition
from experiments.training import Diverged

_POLL = 1.0  # seconds, while others run the last trials


class _NotPlanned(Exception):
    """Optuna asked for a trial that is none of the study's."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """One process of a study.

    Args:
        definition: The study.
        study: The Optuna study that `storage.join` returned.
        store: Where pieces are kept.
        listener: Who is told.
        load: A function of `settings.Images` that loads them.
        folder: The folder of the study.
        other_versions: As for `Engine`.
    """

    definition: Definition
    study: Any
    store: Store
    listener: Listener
    load: Callable[[Any], Dataset]
    folder: pathlib.Path
    other_versions: bool = False
    _engines: dict[Any, Engine] = dataclasses.field(default_factory=dict)

    def work(self) -> None:
        """Run trials until every one has come to its end, those of killed workers included."""
        optuna = storage.optuna()
        states = optuna.trial.TrialState
        said = False
        while True:
            # Those without a sign of life for too long go back to the queue.
            optuna.storages.fail_stale_trials(self.study)
            trials = self.study.get_trials(deepcopy=False)
            waiting = [trial for trial in trials if trial.state == states.WAITING]
            if waiting or self._lacks(trials):
                try:
                    self.study.optimize(self._run, n_trials=1, catch=(_NotPlanned, Diverged))
                except ValueError as error:
                    # This process had slept past its grace, and the trial is somebody else's now.
                    if "Cannot tell a" not in str(error):
                        raise
                    self.listener.say("This worker had stopped: its trial went to another one.")
                except optuna.exceptions.UpdateFinishedTrialError:
                    self.listener.say("This worker had stopped: its trial went to another one.")
                continue
            running = [trial for trial in trials if trial.state == states.RUNNING]
            if not running:
                return
            if not said:
                self.listener.say(
                    f"{len(running)} trials are run by other workers; one that was killed comes "
                    f"back to the queue after {storage.GRACE} s."
                )
                said = True
            time.sleep(_POLL)

    def _lacks(self, trials: Sequence[Any]) -> bool:
        """Whether more points are to be drawn from ranges."""
        failed = storage.optuna().trial.TrialState.FAIL
        return sum(trial.state != failed for trial in trials) < self.definition.trials

    def _run(self, trial: Any) -> Any:
        if not storage.is_of_the_study(self.definition, trial):
            raise _NotPlanned
        settings = self.definition.settings(self._suggested(trial))
        engine = self._engine(settings)
        plan = methods.plan(settings, engine.experiment)
        self.listener.say(f"trial {trial.number}: {described(trial.params)}")
        trial.set_user_attr("pieces", [planned.piece.name for planned in plan])
        trial.set_user_attr("iterations", sum(planned.piece.iterations for planned in plan))
        known = self._known(trial.number)
        value = None
        for step, fraction in enumerate(self.definition.remaining, start=1):
            try:
                value = self._value_at(engine, plan, fraction)
            except Diverged as error:
                trial.set_user_attr("error", str(error))
                self.listener.say(f"trial {trial.number} ends: {error}")
                raise
            if value is None:
                break
            if self.definition.objective == "phone":
                continue
            if step not in known:  # a trial that is taken up again has some already
                trial.report(value, step)
            last = step == len(self.definition.remaining)
            if self.definition.halving and not last and trial.should_prune():
                trained = [p for p in plan if p.piece.name in self.store]
                trial.set_user_attr("trained", sum(p.piece.iterations for p in trained))
                raise storage.optuna().TrialPruned
        if value is None:
            error = (
                f"Trial {trial.number} ({described(trial.params)}) does not come down to "
                f"{fraction:.3g} of the weights in {settings.rounds} rounds: raise `rounds` or "
                "`rate`, or give other `remaining`."
            )
            trial.set_user_attr("error", error)
            raise ValueError(error)
        if self.definition.objective == "phone":
            return self._on_a_phone(engine, plan, value, trial)
        return value

    def _engine(self, settings: Settings) -> Engine:
        """The engine of a training, whose compiled models serve all trials that train alike."""
        key = settings.training, settings.images
        if key not in self._engines:
            self._engines.clear()
            experiment = Experiment(settings.training, self.load(settings.images))
            kept = len(settings.seeds)
            self._engines[key] = Engine(
                experiment, self.store, self.listener, self.other_versions, kept=kept
            )
        return self._engines[key]

    def _suggested(self, trial: Any) -> dict[str, Any]:
        point = {n: trial.suggest_categorical(n, v) for n, v in self.definition.grid.items()}
        for name, one in self.definition.ranges.items():
            suggest = trial.suggest_int if one.integer else trial.suggest_float
            point[name] = suggest(name, one.low, one.high, log=one.log)
        return point

    def _known(self, number: int) -> dict[int, float]:
        """What was reported of a trial before a worker was killed."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number == number:
                return dict(trial.intermediate_values)
        return {}

    def _value_at(self, engine: Engine, plan: Sequence[Planned], fraction: float) -> float | None:
        """The mean validation accuracy over the seeds of the first networks with so few weights.

        Rounds are trained as far as that takes, of all seeds. `None` if none comes down to it.
        """
        indices = sorted({planned.index for planned in plan})
        for index in indices:
            part = [planned for planned in plan if planned.index <= index]
            engine.run(part)
            results = of_plan(self.store, part)
            found = first_at(results, fraction)
            if found is not None:
                return sum(r.measures["validation_accuracy"] for r in found) / len(found)
        return None

    def _on_a_phone(
        self, engine: Engine, plan: Sequence[Planned], accuracy: float, trial: Any
    ) -> tuple[float, float, float]:
        """Accuracy, bytes and milliseconds of the first seed's network, exported and verified."""
        from experiments.report import console as reports

        networks = first_at(of_plan(self.store, plan), self.definition.remaining[-1])
        _, model = reports.of_piece(engine.experiment, self.store, networks[0])
        path = self.folder / f"trial-{trial.number:03}.tflite"
        exported = reports.to_tflite(model, engine.experiment, path, measure=True)
        times = [one.median for one in exported.measurements if one.median is not None]
        return accuracy, float(path.stat().st_size), 1000 * min(times)


def first_at(results: Sequence[Result], fraction: float) -> list[Result] | None:
    """Of each seed the first network with at most a fraction of the weights.

    Returns:
        A `Result` of each seed; `None` if a seed has none.
    """
    found: dict[int, Result] = {}
    seeds = {result.seed for result in results}
    for result in sorted(results, key=lambda one: one.index):
        ticket = result.variant == TICKET or (result.variant == DENSE and fraction >= 1)
        if ticket and result.remaining <= fraction + 1e-9:
            found.setdefault(result.seed, result)
    return [found[seed] for seed in sorted(seeds)] if found.keys() == seeds else None


def described(params: dict[str, Any]) -> str:
    """A point in words.

    >>> described({"criterion": "snip", "rate": 0.2})
    'criterion=snip, rate=0.2'
    """
    return ", ".join(f"{name}={value}" for name, value in params.items())
