import types

import keras
import numpy as np
import pytest

from experiments import networks, training
from experiments.datasets import Dataset
from experiments.experiment import Experiment
from experiments.settings import Training


def experiment(**changed):
    """A tiny network on 50 random images, 40 of them to train on: 4 steps an epoch."""
    rng = np.random.default_rng(0)
    images, classes = rng.random((62, 4, 4, 1), "float32"), rng.integers(3, size=62)
    dataset = Dataset(images[:50], classes[:50], images[50:], classes[50:], 3, "noise")
    described = {
        "network": "tiny",
        "optimizer": networks.Optimizer("adam", 1e-2),
        "iterations": 9,
        "batch_size": 10,
        "validation": 10,
        "evaluate_every": 3,
    }
    return Experiment(Training(**described | changed), dataset)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A network of one layer."""

    def build(shape, classes, seed):
        return keras.Sequential(
            [
                keras.Input(shape),
                keras.layers.Flatten(),
                keras.layers.Dense(classes, kernel_initializer=networks.glorot(seed, "output")),
            ]
        )

    module = types.SimpleNamespace(build=build)
    monkeypatch.setattr(networks, "get", lambda name: module)


def trainer(**changed):
    described = experiment(**changed)
    model = training.make_model(described, seed=0)
    return training.Trainer(model, training.split(described, seed=0), described, seed=0)


class Recorded(keras.callbacks.Callback):
    """The validation loss and the weights after every step."""

    def __init__(self, trainer):
        super().__init__()
        self.trainer = trainer
        self.losses = []
        self.weights = []

    def next_event(self, step):
        return step + 1

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(self.trainer.evaluate("validation")[0])
        self.weights.append(self.model.get_weights())


def test_the_split_leaves_no_image_out_and_none_twice():
    described = experiment()
    examples = training.split(described, seed=3)
    sizes = [len(x) for x, _ in (examples.train, examples.validation, examples.test)]
    assert sizes == [40, 10, 12]
    together = np.concatenate([examples.train[0], examples.validation[0]])
    assert np.array_equal(
        np.sort(together.sum((1, 2, 3))), np.sort(described.dataset.x_train.sum((1, 2, 3)))
    )


def test_evaluation_is_that_of_keras(monkeypatch):
    monkeypatch.setattr(training, "_EVALUATED_AT_ONCE", 7)
    subject = trainer()
    subject.model.compile(loss=subject.model.loss, metrics=["accuracy"])
    expected = subject.model.evaluate(*subject.examples.train, verbose=0)
    assert subject.evaluate("train") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("fused", ["auto", "never"])
def test_training_ends_at_the_last_iteration_and_finds_the_minimum_of_the_validation_loss(fused):
    subject = trainer(fused=fused)
    recorded = Recorded(subject)
    trained = subject.train([recorded])
    measured = subject.measure(trained)
    assert int(subject.model.optimizer.iterations) == measured["iterations"] == 9
    assert [iteration for iteration, _, _ in trained.progress.curve] == [3, 6, 9]
    assert len(recorded.losses) == 9
    looked_at = {iteration: recorded.losses[iteration - 1] for iteration in (3, 6, 9)}
    best = min(looked_at, key=looked_at.get)
    assert measured["early_stopping_iteration"] == best
    assert measured["validation_loss"] == pytest.approx(recorded.losses[-1])
    # The model is left as trained, and was measured as it was at the minimum too.
    trained = subject.model.get_weights()
    assert all(map(np.array_equal, trained, recorded.weights[-1]))
    subject.model.set_weights(recorded.weights[best - 1])
    assert measured["early_stopping_accuracy"] == subject.evaluate("test")[1]


def test_the_last_iteration_is_looked_at_though_it_is_not_due():
    subject = trainer(iterations=2)
    assert subject.train().progress.best.iteration == 2
    assert int(subject.model.optimizer.iterations) == 2


def test_late_rewinding_trains_what_is_left():
    subject = trainer()
    done = []
    subject = training.Trainer(subject.model, subject.examples, subject.experiment, 0, done.append)
    trained = subject.train(first=4)
    assert int(subject.model.optimizer.iterations) == 5
    assert trained.iterations == 9
    assert trained.progress.best.iteration in (6, 9)
    assert sum(done) == 5


def test_rewound_to_an_epoch_training_goes_on_with_its_batches():
    whole, parts = trainer(), trainer()
    whole.train()
    parts.train(last=4)
    trained = parts.train(first=4, initial_epoch=1)
    assert trained.progress.best.iteration in (6, 9)
    assert int(parts.model.optimizer.iterations) == 9
    for ours, theirs in zip(parts.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_progress_is_reported_in_iterations():
    subject = trainer(iterations=8)
    done = []
    training.Trainer(subject.model, subject.examples, subject.experiment, 0, done.append).train()
    assert done == [3, 3, 2]


def test_nothing_is_traced_again_in_a_second_training(monkeypatch):
    subject, traces = trainer(), []
    compute_loss = subject.model.compute_loss

    def counted(*args, **kwargs):
        traces.append(1)
        return compute_loss(*args, **kwargs)

    monkeypatch.setattr(subject.model, "compute_loss", counted)
    subject.train()
    assert traces
    traces.clear()
    subject.train()
    assert not traces


def test_a_training_that_diverges_says_where():
    subject = trainer()
    subject.model.set_weights([weights * np.nan for weights in subject.model.get_weights()])
    with pytest.raises(ValueError, match="validation loss is nan at iteration 3"):
        subject.train()


def test_a_training_of_no_iterations_is_measured_where_it_begins():
    subject = trainer()
    weights = subject.model.get_weights()
    trained = subject.train(last=0)
    assert all(map(np.array_equal, weights, subject.model.get_weights()))
    assert (trained.iterations, trained.fused) == (0, "none")
    assert [iteration for iteration, _, _ in trained.progress.curve] == [0]


def test_a_training_that_was_saved_goes_on_to_the_same_weights_and_the_same_curve():
    whole, parts = trainer(), trainer()
    kept = []

    def save(progress):
        if not kept:
            variables = [*whole.model.variables, *whole.model.optimizer.variables]
            kept.append((progress, [np.array(variable) for variable in variables]))

    expected = whole.train(save=save)
    progress, values = kept[0]
    assert progress.epoch == 1
    parts.model.optimizer.build(parts.model.trainable_variables)
    variables = [*parts.model.variables, *parts.model.optimizer.variables]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    resumed = parts.train(resumed=progress)
    assert all(map(np.array_equal, parts.model.get_weights(), whole.model.get_weights()))
    assert resumed.progress.curve == expected.progress.curve
    assert resumed.progress.best.iteration == expected.progress.best.iteration
