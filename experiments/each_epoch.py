"""Compares pruning at the end of every epoch with iterative pruning and rewinding.

All methods train for the same number of epochs, in rounds of equal length, and have pruned the same
number of weights at the end of every round. They share the first round, which is dense.
"""

import dataclasses
import math
import time
from collections.abc import Sequence

import keras

import keras_lottery as kl
from experiments import summary, training
from experiments.results import Network
from experiments.settings import Experiment
from keras_lottery.core import criteria, lookup, schedules
from keras_lottery.model import variables

REWINDING = "rewinding"


@dataclasses.dataclass(frozen=True)
class MethodComparison:
    """The methods that are compared, and how long they train.

    Args:
        experiment: The experiment; its iterations are those of a round.
        count: The number of rounds of pruning.
        criteria: The names of criteria that rank the weights at every epoch.
        epochs: The number of epochs in a round.
    """

    experiment: Experiment
    count: int
    criteria: Sequence[str]
    epochs: int

    def __post_init__(self):
        """Refuses an unknown criterion, before anything is trained."""
        for name in self.criteria:
            lookup.get(criteria, name)

    @property
    def total(self):
        """The number of epochs that every method trains."""
        return self.epochs * (self.count + 1)

    @property
    def variants(self):
        """The methods: dense, pruning at every epoch by each criterion, and rewinding."""
        return [summary.DENSE, *self.criteria, REWINDING]

    def missing(self, run):
        """Return the methods and seeds that a run has not finished, as `(variant, seed)`."""
        return [
            (variant, seed)
            for seed in self.experiment.seeds
            for variant in self.variants
            if run.find(variant, seed, 0 if variant == summary.DENSE else self.count) is None
        ]

    def pruning(self, variant, seed):
        """Make the callback that prunes as a method does, or `None` for the dense network."""
        if variant == summary.DENSE:
            return None
        every = variant != REWINDING
        schedule = self.every_epoch if every else self.every_round
        return kl.Prune(
            schedule(self.experiment.rate),
            kl.Recipe(
                variant if every else "large_final",
                scope=self.experiment.scope,
                exclude=self.experiment.network.PRESET.exclude,
            ),
            overrides={name: schedule(rate) for name, rate in self.experiment.overrides.items()},
            rewind=None if every else kl.rewind.to_start(),
            seed=seed,
        )

    def every_round(self, rate):
        """Make the schedule, in epochs, that prunes at the end of every round."""
        return schedules.geometric(rate, every=self.epochs)

    def every_epoch(self, rate):
        """Make the schedule that prunes at the end of every epoch except in the first round.

        The epochs of a round together prune as many weights as `every_round` at once before it.
        """
        schedule = schedules.geometric(1 - (1 - rate) ** (1 / self.epochs), begin=self.epochs - 1)
        # Nothing trains after the last epoch, so nothing is pruned at its end.
        return lambda epoch: schedule(min(epoch, self.total - 1))


def execute(comparison, run, progress):
    """Trains every method with every seed that the run has no results of.

    Args:
        comparison: `MethodComparison`.
        run: `results.Run`.
        progress: `progress.Progress`.
    """
    for variant, seed in comparison.missing(run):
        experiment = comparison.experiment
        model = training.make_model(experiment, seed)
        trainer = training.Trainer(model, training.split(experiment, seed), experiment, seed)
        prune = comparison.pruning(variant, seed)
        rounds = RoundResults(comparison, trainer, variant, prune, progress.advance)
        fused = trainer.fit(comparison.total, [*filter(None, [prune]), rounds])
        for result in rounds.results:
            if run.find(variant, seed, result.index) is None:
                result = dataclasses.replace(result, fused=fused)
                run.add(result)
                progress.announce(result)


class RoundResults(keras.callbacks.Callback):
    """Measures the network at the end of every round.

    Its `results` are `results.Result` records, in which the way that `kl.fit` took is not known
    yet.

    Args:
        comparison: `MethodComparison`.
        trainer: The `Trainer` of the model.
        variant: The method.
        prune: The callback that prunes, or `None` if the whole training is one round.
        report: A function that is called with the number of iterations since its last call.
    """

    def __init__(self, comparison, trainer, variant, prune, report):
        super().__init__()
        self.results = []
        self._trainer = trainer
        self._variant = variant
        self._epochs = comparison.epochs if prune else comparison.total
        self._prune = prune
        self._report = report

    def on_epoch_begin(self, epoch, logs=None):
        """Starts a round."""
        if epoch % self._epochs == 0:
            self._begin = time.perf_counter()
            self._best = training.Best()

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates on the validation examples; ends a round."""
        iterations = (epoch + 1) * self._trainer.experiment.steps
        loss, _ = self._trainer.evaluate("validation")
        self._best = self._best.improved_by(iterations, loss, self.model)
        self._report(self._trainer.experiment.steps)
        if (epoch + 1) % self._epochs == 0:
            seconds = time.perf_counter() - self._begin
            self.results.append(
                self._trainer.measure(self._network(), self._best, iterations, seconds, fused="")
            )

    def _network(self):
        if self._prune is None:
            exclude = self._trainer.experiment.network.PRESET.exclude
            kernels = variables.prunable(self.model, exclude=exclude)
            alive = {name: math.prod(kernel.shape) for name, kernel in kernels.items()}
            sparsity = 0.0
        else:
            alive = self._prune.lottery.alive_counts
            sparsity = self._prune.lottery.sparsity
        return Network(len(self.results), self._variant, self._trainer.seed, sparsity, alive)
