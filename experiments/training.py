"""Training by iterations, with an evaluation every so often, as the lottery-ticket papers do it."""

import dataclasses
import math
import time

import keras
import numpy as np
import tensorflow as tf

from experiments import datasets
from experiments.results import Result
from keras_lottery.training import evaluator, fit

# Examples in one forward pass of an evaluation: enough to keep the cores busy with small layers,
# few enough for the activations of a convolutional network.
_EVALUATED_AT_ONCE = 1000


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples to train, stop and judge a network on: `(inputs, labels)` pairs of tensors."""

    train: tuple[tf.Tensor, tf.Tensor]
    validation: tuple[tf.Tensor, tf.Tensor]
    test: tuple[tf.Tensor, tf.Tensor]


def split(experiment, seed):
    """Split an experiment's examples, with some training examples set aside for validation.

    Args:
        experiment: `settings.Experiment`.
        seed: Seed of the choice.
    """
    dataset = experiment.dataset
    rest, validation = datasets.split_validation(dataset, experiment.validation, seed)
    train = rest.x_train, rest.y_train
    test = rest.x_test, rest.y_test
    return Examples(*(tuple(map(tf.constant, pair)) for pair in (train, validation, test)))


def make_model(experiment, seed):
    """Make an experiment's network, built and compiled; the seed decides its initial weights."""
    dataset, network = experiment.dataset, experiment.network
    model = network.build(dataset.shape, dataset.classes, seed=seed)
    model.compile(
        optimizer=network.PRESET.optimizer(experiment.iterations),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


class Trainer:
    """Trains one model as often as wanted, and traces and compiles it only once.

    Args:
        model: A compiled `keras.Model`.
        examples: `Examples`.
        experiment: `settings.Experiment`.
        seed: Seed of the order of the batches, the same for all networks that are compared.
        report: A function that is called with the number of iterations since its last call.
    """

    def __init__(self, model, examples, experiment, seed, report=lambda iterations: None):
        self.model = model
        self.examples = examples
        self.experiment = experiment
        self.seed = seed
        self._report = report
        self._evaluators = {}

    def evaluate(self, part):
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

    def train(self, network, callbacks=(), first=0, initial_epoch=0):
        """Trains the model from its present weights to the last iteration, and measures it.

        Args:
            network: `results.Network`, which says what the model is at present.
            callbacks: Keras callbacks.
            first: The number of iterations that the present weights had already (late rewinding).
            initial_epoch: The epoch whose batches come first.

        Returns:
            `results.Result`. The iterations in it include the first ones.

        Raises:
            ValueError: If the loss stops being a number.
        """
        begin = time.perf_counter()
        last = self.experiment.iterations
        best, fused = self.train_to(last, callbacks, first, initial_epoch)
        return self.measure(network, best, last, time.perf_counter() - begin, fused)

    def train_to(self, last, callbacks=(), first=0, initial_epoch=0):
        """Trains the model to an iteration.

        Returns:
            `Best`, and the way that `kl.fit` took, as from `fit`.
        """
        every = self.experiment.network.PRESET.evaluate_every
        before = first - initial_epoch * self.experiment.steps
        checkpoints = Checkpoints(self, before, last, every, self._report)
        # The epochs of a whole training, though the callback may end it earlier: `kl.fit` chooses
        # its way by their number, and all networks of a run must be trained the same way.
        epochs = math.ceil(self.experiment.iterations / self.experiment.steps)
        fused = self.fit(epochs, [*callbacks, checkpoints], initial_epoch)
        return checkpoints.best, fused

    def fit(self, epochs, callbacks, initial_epoch=0):
        """Trains the model up to an epoch, unless a callback ends it.

        Returns:
            The way that `kl.fit` took: `"xla"`, `"graph"` or `"plain"`.
        """
        x, y = self.examples.train
        history = fit(
            self.model,
            x,
            y,
            batch_size=self.experiment.batch_size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            callbacks=callbacks,
            seed=self.seed,
            fused=self.experiment.fused,
            verbose=0,
        )
        return history.params["fused"]

    def measure(self, network, best, iterations, seconds, fused):
        """Measures the model as it is, and as it was at its minimum validation loss.

        Args:
            network: `results.Network`, which says what the model is at present.
            best: `Best`.
            iterations: The number of iterations that it was trained.
            seconds: The time that they took.
            fused: The way that `kl.fit` took.

        Returns:
            `results.Result`.
        """
        train_loss, train_accuracy = self.evaluate("train")
        validation_loss, validation_accuracy = self.evaluate("validation")
        test_loss, test_accuracy = self.evaluate("test")
        trained = self.model.get_weights()
        self.model.set_weights(best.weights)
        early_stopping_accuracy = self.evaluate("test")[1]
        self.model.set_weights(trained)
        return Result(
            **vars(network),
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            early_stopping_iteration=best.iteration,
            early_stopping_accuracy=early_stopping_accuracy,
            iterations=iterations,
            seconds=round(seconds, 3),
            fused=fused,
        )


@dataclasses.dataclass(frozen=True)
class Best:
    """The minimum of the validation loss, where it was, and the weights there."""

    iteration: int = 0
    loss: float = math.inf
    weights: list[np.ndarray] = dataclasses.field(default_factory=list)

    def improved_by(self, iteration, loss, model):
        """Return the checkpoint with the lower validation loss: this, or the model as it is.

        Raises:
            ValueError: If the loss is not finite.
        """
        if not math.isfinite(loss):
            raise ValueError(
                f"Training diverged: the validation loss is {loss} at iteration {iteration}."
            )
        return Best(iteration, loss, model.get_weights()) if loss < self.loss else self


class Checkpoints(keras.callbacks.Callback):
    """Evaluates on the validation examples at fixed iterations, and ends training at the last.

    Args:
        trainer: The `Trainer` of the model.
        before: The number of iterations before epoch 0 of this training.
        last: The iteration to end at.
        every: The number of iterations from one evaluation to the next.
        report: A function that is called with the number of iterations since its last call.
    """

    def __init__(self, trainer, before, last, every, report):
        super().__init__()
        self.best = Best()
        self._trainer = trainer
        self._before = before
        self._last = last
        self._every = every
        self._report = report

    def next_event(self, step):
        """Return the next step of this training after which to evaluate."""
        iteration = self._before + step
        return min((iteration // self._every + 1) * self._every, self._last) - self._before

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the iteration at which the epoch begins."""
        self._at_begin = self._before + epoch * self._trainer.experiment.steps

    def on_train_batch_end(self, batch, logs=None):
        """Evaluates when it is due."""
        iteration = self._at_begin + batch + 1
        if iteration % self._every and iteration != self._last:
            return
        loss, _ = self._trainer.evaluate("validation")
        self.best = self.best.improved_by(iteration, loss, self.model)
        self._report((iteration - 1) % self._every + 1)
        self.model.stop_training = iteration == self._last
