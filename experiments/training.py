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
    """What a network is trained, stopped and judged on: `(inputs, labels)` pairs of tensors."""

    train: tuple[tf.Tensor, tf.Tensor]
    validation: tuple[tf.Tensor, tf.Tensor]
    test: tuple[tf.Tensor, tf.Tensor]


def split(experiment, seed):
    """The examples of an experiment, some of the training ones set aside for validation.

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
    """The network of an experiment, built and compiled; the seed decides its initial weights."""
    dataset, network = experiment.dataset, experiment.network
    model = network.build(dataset.shape, dataset.classes, seed=seed)
    model.compile(
        optimizer=network.PRESET.optimizer(experiment.iterations),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


class Trainer:
    """Trains one model as often as wanted; what is traced and compiled is so only once.

    Args:
        model: A compiled `keras.Model`.
        examples: `Examples`.
        experiment: `settings.Experiment`.
        seed: Seed of the order of the batches: the same for all networks that are compared.
        report: Called with the number of iterations done since it was last called.
    """

    def __init__(self, model, examples, experiment, seed, report=lambda iterations: None):
        self.model = model
        self.examples = examples
        self.experiment = experiment
        self.seed = seed
        self._report = report
        self._evaluators = {}

    def evaluate(self, part):
        """Mean loss and accuracy of the model as it is.

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
            network: `results.Network`: what the model is at present.
            callbacks: Keras callbacks.
            first: Iterations that the present weights have had already (late rewinding).
            initial_epoch: Epoch whose batches come first.

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
            network: `results.Network`: what the model is at present.
            best: `Best`.
            iterations: How many it was trained.
            seconds: How long that took.
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

    def or_now(self, iteration, loss, model):
        """This, or the model's present state if its loss is lower.

        Raises:
            ValueError: If the loss is not a number any more.
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
        before: Iterations done before epoch 0 of this training.
        last: Iteration to end at.
        every: Iterations from one evaluation to the next.
        report: Called with the number of iterations done since the last call.
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
        """The next step of this training after which there is something to do."""
        iteration = self._before + step
        return min((iteration // self._every + 1) * self._every, self._last) - self._before

    def on_epoch_begin(self, epoch, logs=None):
        """Counts from here."""
        self._at_begin = self._before + epoch * self._trainer.experiment.steps

    def on_train_batch_end(self, batch, logs=None):
        """Evaluates when it is due."""
        iteration = self._at_begin + batch + 1
        if iteration % self._every and iteration != self._last:
            return
        loss, _ = self._trainer.evaluate("validation")
        self.best = self.best.or_now(iteration, loss, self.model)
        self._report((iteration - 1) % self._every + 1)
        self.model.stop_training = iteration == self._last
