"""Training by iterations, with an evaluation every so often, as the lottery-ticket papers do it."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from experiments import augmentation, datasets
from experiments.experiment import Experiment
from keras_lottery.training import evaluator, fit

# Examples in one forward pass of an evaluation: enough to keep the cores busy with small layers,
# few enough for the activations of a convolutional network.
_EVALUATED_AT_ONCE = 1000


class Diverged(ValueError):
    """The loss stopped being a number."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples to train, stop and judge a network on: `(inputs, labels)` pairs of tensors."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]


def split(experiment: Experiment, seed: int) -> Examples:
    """Split an experiment's examples, with some training examples set aside for validation.

    Args:
        experiment: The `Experiment`.
        seed: Seed of the choice.
    """
    rest, validation = datasets.split_validation(experiment.dataset, experiment.validation, seed)
    train = rest.x_train, rest.y_train
    test = rest.x_test, rest.y_test
    as_tensors = keras.ops.convert_to_tensor
    return Examples(*(tuple(map(as_tensors, pair)) for pair in (train, validation, test)))


def make_model(experiment: Experiment, seed: int) -> keras.Model:
    """Make an experiment's network, built and compiled; the seed decides its initial weights."""
    dataset, training = experiment.dataset, experiment.training
    network = experiment.network.build(dataset.shape, dataset.classes, seed=seed)
    model = augmentation.added(network, training.augmentation, training.dropout, seed)
    model.compile(
        optimizer=training.optimizer.make(training.iterations),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


@dataclasses.dataclass(frozen=True)
class Best:
    """The minimum of the validation loss, where it was, and the weights there."""

    iteration: int = 0
    loss: float = math.inf
    weights: list[np.ndarray] = dataclasses.field(default_factory=list)

    def improved_by(self, iteration: int, loss: float, model: keras.Model) -> "Best":
        """Return the checkpoint with the lower validation loss: this, or the model as it is.

        Raises:
            Diverged: If the loss is not finite.
        """
        if not math.isfinite(loss):
            raise Diverged(
                f"Training diverged: the validation loss is {loss} at iteration {iteration}."
            )
        return Best(iteration, loss, model.get_weights()) if loss < self.loss else self


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Args:
        epoch: The number of epochs that are trained.
        best: The minimum of the validation loss so far.
        curve: `(iteration, validation loss, validation accuracy)` of every evaluation so far.
        seconds: Wall time so far.
    """

    epoch: int
    best: Best = dataclasses.field(default_factory=Best)
    curve: tuple[tuple[int, float, float], ...] = ()
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Trained:
    """A training that came to its end.

    Args:
        progress: What was noted on the way.
        iterations: The number of iterations, those before a rewind point included.
        fused: The way that `kl.fit` trained: `"xla"`, `"graph"`, `"scan"` or `"plain"`.
    """

    progress: Progress
    iterations: int
    fused: str


class Trainer:
    """Trains one model as often as wanted, and traces and compiles it only once.

    Args:
        model: A compiled `keras.Model`.
        examples: `Examples`.
        experiment: The `Experiment`.
        seed: Seed of the order of the batches, the same for all networks that are compared.
        report: A function that is called with the number of iterations since its last call.
    """

    def __init__(
        self,
        model: keras.Model,
        examples: Examples,
        experiment: Experiment,
        seed: int,
        report: Callable[[int], None] = lambda iterations: None,
    ):
        self.model = model
        self.examples = examples
        self.experiment = experiment
        self.seed = seed
        self.report = report
        self._evaluators: dict[str, Callable] = {}

    def evaluate(self, part: str) -> tuple[float, float]:
        """Return mean loss and accuracy of the model as it is.

        Args:
            part: Which of the `Examples`: `"train"`, `"validation"` or `"test"`.
        """
        if part not in self._evaluators:
            self._evaluators[part] = evaluator(
                self.model,
                *getattr(self.examples, part),
                batch_size=_EVALUATED_AT_ONCE,
                metrics=["accuracy"],
            )
        logs = self._evaluators[part]()
        return logs["loss"], logs["accuracy"]

    def train(
        self,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        first: int = 0,
        initial_epoch: int = 0,
        last: int | None = None,
        resumed: Progress | None = None,
        save: Callable[[Progress], None] | None = None,
    ) -> Trained:
        """Trains the model from its present weights to an iteration.

        Args:
            callbacks: Keras callbacks.
            first: The number of iterations that the weights had already (late rewinding).
            initial_epoch: The epoch whose batches come first.
            last: The iteration to end at. Defaults to the experiment's last.
            resumed: How far the training had come, if the model is as it was then.
            save: A function that is called at the end of every epoch but the last.

        Raises:
            Diverged: If the loss stops being a number.
        """
        training, steps = self.experiment.training, self.experiment.steps
        last = training.iterations if last is None else last
        before = first - initial_epoch * steps
        evaluations = Evaluations(self, before, last, resumed or Progress(initial_epoch), save)
        x, y = self.examples.train
        fused = "none"
        if last > first:
            history = fit(
                self.model,
                x,
                y,
                batch_size=training.batch_size,
                # The epochs of a whole training, though the callback may end it earlier: `kl.fit`
                # chooses its way by their number, and networks that are compared must go one way.
                epochs=math.ceil(max(training.iterations, last) / steps),
                initial_epoch=evaluations.progress.epoch,
                callbacks=[*callbacks, evaluations],
                seed=self.seed,
                fused=training.fused,
                verbose=0,
            )
            fused = history.params["fused"]
        else:
            evaluations.look(last)
        return Trained(evaluations.progress, last, fused)

    def measure(self, trained: Trained) -> dict[str, Any]:
        """Measures the model as it is, and as it was at its minimum validation loss.

        Returns:
            Numbers by name: accuracies are fractions, losses are means over the examples;
            `early_stopping_iteration` is read off afterwards (Frankle & Carbin 2019), and
            `early_stopping_accuracy` is the test accuracy there.
        """
        measured = {}
        for part in ("train", "validation", "test"):
            measured[f"{part}_loss"], measured[f"{part}_accuracy"] = self.evaluate(part)
        best = trained.progress.best
        weights = self.model.get_weights()
        self.model.set_weights(best.weights)
        early_stopping_accuracy = self.evaluate("test")[1]
        self.model.set_weights(weights)
        return {
            **measured,
            "early_stopping_iteration": best.iteration,
            "early_stopping_accuracy": early_stopping_accuracy,
            "iterations": trained.iterations,
            "seconds": round(trained.progress.seconds, 3),
            "fused": trained.fused,
        }


class Evaluations(keras.callbacks.Callback):
    """Evaluates on the validation examples at fixed iterations, and ends training at the last.

    Args:
        trainer: The `Trainer` of the model.
        before: The number of iterations before epoch 0 of this training.
        last: The iteration to end at.
        progress: How far the training has come.
        save: A function of the `Progress` at the end of an epoch, or `None`.
    """

    def __init__(
        self,
        trainer: Trainer,
        before: int,
        last: int,
        progress: Progress,
        save: Callable[[Progress], None] | None,
    ):
        super().__init__()
        self.progress = progress
        self._trainer = trainer
        self._before = before
        self._last = last
        self._save = save
        self._every = trainer.experiment.training.evaluate_every
        self.reported = before + progress.epoch * trainer.experiment.steps
        self._clock = time.perf_counter()

    def next_event(self, step: int) -> int:
        """Return the next step of this training after which to evaluate."""
        iteration = self._before + step
        return min((iteration // self._every + 1) * self._every, self._last) - self._before

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the iteration at which the epoch begins."""
        self._at_begin = self._before + epoch * self._trainer.experiment.steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Evaluates when it is due."""
        iteration = self._at_begin + batch + 1
        if iteration % self._every and iteration != self._last:
            return
        self.look(iteration)
        self._trainer.report(iteration - self.reported)
        self.reported = iteration
        self.model.stop_training = iteration == self._last

    def look(self, iteration: int) -> None:
        """Evaluates, and notes what it sees."""
        loss, accuracy = self._trainer.evaluate("validation")
        now = time.perf_counter()
        self.progress = dataclasses.replace(
            self.progress,
            best=self.progress.best.improved_by(iteration, loss, self._trainer.model),
            curve=(*self.progress.curve, (iteration, loss, accuracy)),
            seconds=self.progress.seconds + now - self._clock,
        )
        self._clock = now

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Lets the training be saved."""
        self.progress = dataclasses.replace(self.progress, epoch=epoch + 1)
        if self._save is not None and not self.model.stop_training:
            self._save(self.progress)
