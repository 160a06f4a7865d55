"""What a study found: its trials in order, what was shared, what ending early saved and missed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from experiments.methods import DENSE, TICKET, Planned
from experiments.pieces.store import Store
from experiments.report.summary import percent
from experiments.results import Result, of_plan
from experiments.study import storage
from experiments.study.definition import Definition
from experiments.study.worker import described


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The trials of a study that came to their end, completed or ended early.

    Args:
        definition: The study.
        trials: Optuna's trials, the best first; those ended early come last.
        failed: Trials that ended in an error.
    """

    definition: Definition
    trials: Sequence[Any]
    failed: Sequence[Any] = ()

    @classmethod
    def of(cls, definition: Definition, study: Any) -> Outcome:
        """Read the outcome of a study."""
        states = storage.optuna().trial.TrialState
        trials = study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
        failed = study.get_trials(deepcopy=False, states=(states.FAIL,))
        failed = [trial for trial in failed if "error" in trial.user_attrs]
        return cls(definition, sorted(trials, key=_rank, reverse=True), failed)

    @property
    def completed(self) -> list[Any]:
        """Those that were not ended early."""
        return [trial for trial in self.trials if trial.values is not None and not _early(trial)]

    def table(self) -> Table:
        """A table of the trials."""
        rendered = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in (*self.definition.grid, *self.definition.ranges):
            rendered.add_column(name)
        phone = self.definition.objective == "phone"
        headings = (
            ["validation, %", "bytes", "ms"]
            if phone
            else [f"at {percent(one)} %" for one in self.definition.remaining]
        )
        for heading in headings:
            rendered.add_column(heading, justify="right")
        rendered.add_column("")
        best = set(map(id, self.front())) if phone else set()
        for trial in self.trials:
            row = [
                _short(trial.params[n]) for n in (*self.definition.grid, *self.definition.ranges)
            ]
            if phone:
                accuracy, size, milliseconds = trial.values
                row += [f"{100 * accuracy:.2f}", f"{size:,.0f}", f"{milliseconds:.3f}"]
                row.append("on the Pareto front" if id(trial) in best else "")
            else:
                known = trial.intermediate_values
                steps = range(1, len(self.definition.remaining) + 1)
                row += [f"{100 * known[step]:.2f}" if step in known else "" for step in steps]
                row.append("ended early" if _early(trial) else "")
            rendered.add_row(*row)
        return rendered

    def front(self) -> list[Any]:
        """The trials that no other one is better than in accuracy, bytes and milliseconds."""

        def better(one: Any, other: Any) -> bool:
            mine = (one.values[0], -one.values[1], -one.values[2])
            theirs = (other.values[0], -other.values[1], -other.values[2])
            return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))

        completed = self.completed
        return [one for one in completed if not any(better(other, one) for other in completed)]

    def sentences(self) -> list[str]:
        """What was found, and what ending early saved and might have missed."""
        lines = [
            f"No result of {described(trial.params)}: {trial.user_attrs['error']}"
            for trial in self.failed
        ]
        return [*lines, *self._of_results()]

    def _of_results(self) -> list[str]:
        if not self.completed:
            return ["No trial came to its end."]
        if self.definition.objective == "phone":
            return [f"{len(self.front())} of {len(self.trials)} trials are on the Pareto front."]
        best = self.completed[0]
        lines = [
            f"The best of {len(self.trials)} trials is {described(best.params)}: "
            f"{100 * best.values[0]:.2f} % of the validation examples at "
            f"{percent(self.definition.remaining[-1])} % of the weights, a mean over the seeds."
        ]
        if self.definition.halving:
            lines += self._of_halving()
        return lines

    def _of_halving(self) -> list[str]:
        early = [trial for trial in self.trials if _early(trial)]
        whole = sum(trial.user_attrs["iterations"] for trial in self.trials)
        saved = sum(trial.user_attrs["iterations"] - trial.user_attrs["trained"] for trial in early)
        lines = [
            f"{len(early)} of {len(self.trials)} trials were ended early: {saved:,} of {whole:,} "
            "iterations were not trained."
        ]
        for step, fraction in enumerate(self.definition.remaining[:-1], start=1):
            correlation = rank_correlation(
                [trial.intermediate_values[step] for trial in self.completed],
                [trial.values[0] for trial in self.completed],
            )
            if correlation is not None:
                lines.append(
                    f"Of the {len(self.completed)} that came to the end, the order at "
                    f"{percent(fraction)} % of the weights has a rank correlation of "
                    f"{correlation:.2f} with that at the end: the lower, the more may have been "
                    "missed."
                )
        return lines


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's rank correlation; `None` of fewer than three, or where all are alike.

    >>> round(rank_correlation([1, 2, 3], [10, 30, 20]), 2)
    0.5
    """
    if len(one) < 3 or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    from scipy import stats

    return float(stats.spearmanr(one, other).statistic)


def results(definition: Definition, trials: Sequence[Any], store: Store, plan: Any) -> list[Result]:
    """The results of trials, each a variant of its own, as far as they were trained.

    `DENSE` are the dense networks of the first trial; one that was trained otherwise is round 0 of
    its trial.

    Args:
        definition: The study.
        trials: Optuna's trials.
        store: Where pieces are kept.
        plan: A function from `settings.Settings` to `methods.Planned` networks.
    """
    found: list[Result] = []
    shared: set[str] = set()  # the dense networks of the best trial, with which all are compared
    for position, trial in enumerate(trials):
        networks: Sequence[Planned] = plan(definition.settings(trial.params))
        for result in of_plan(store, networks):
            if result.variant == DENSE and position == 0:
                shared.add(result.piece)
            own = result.variant == TICKET or (
                result.variant == DENSE and result.piece not in shared
            )
            if own:
                found.append(dataclasses.replace(result, variant=described(trial.params)))
            elif result.variant == DENSE and position == 0:
                found.append(result)
    return found


def _early(trial: Any) -> bool:
    return trial.state == storage.optuna().trial.TrialState.PRUNED


def _rank(trial: Any) -> tuple[bool, int, float]:
    reached = len(trial.intermediate_values)
    value = trial.values[0] if trial.values else float("-inf")
    return (not _early(trial), reached, value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
