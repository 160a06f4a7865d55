"""Keras' callbacks do in `fit` what they do in `model.fit` with `steps_per_execution=chunk`, and
those that say a step what they do in `model.fit` without."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from keras_lottery.training import fit

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="on torch, fit is model.fit"
)
CHUNK = 4


def train_both_ways(tmp_path, make_callbacks, compiled="adam", execution=CHUNK, **arguments):
    """The same training by `fit` and by `model.fit`; `make_callbacks` gets a folder for each."""
    x, y = tiny.samples(count=64)
    arguments = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0} | arguments
    # Eight steps, two chunks: `model.fit` counts a last shorter execution as a whole one.
    arguments["validation_data"] = x, y
    trained = []
    for way in ("fused", "plain"):
        folder = tmp_path / way
        folder.mkdir()
        model = tiny.dense(compiled=keras.optimizers.get(compiled), steps_per_execution=execution)
        arguments["callbacks"] = make_callbacks(folder)
        if way == "fused":
            history = fit(model, x, y, chunk=CHUNK, fused="always", **arguments)
        else:
            history = model.fit(x, y, **arguments)
        trained += [model, history]
    tiny.assert_same(*trained, 1e-5)
    return trained[1], tmp_path / "fused", tmp_path / "plain"


def noted(hook):
    def call(self, *arguments, logs=None):
        if hook.endswith(("begin", "end")) and isinstance(arguments[-1], dict | None):
            *arguments, logs = arguments
        self.calls.append((hook, list(arguments), sorted(logs or {})))

    return call


HOOKS = [
    f"on_{part}_{when}"
    for part in ("train", "test", "epoch", "train_batch", "test_batch")
    for when in ("begin", "end")
]
Record = type("Record", (keras.callbacks.Callback,), {hook: noted(hook) for hook in HOOKS})


def test_every_hook_is_called_as_in_model_fit(tmp_path):
    records = []

    def record(folder):
        records.append(Record())
        records[-1].calls = []
        return [records[-1]]

    train_both_ways(tmp_path, record, epochs=2)
    assert records[0].calls == records[1].calls
    assert {hook for hook, _, _ in records[0].calls} == set(HOOKS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.05),
        lambda: keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=1, min_delta=1),
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / (epoch + 1)),
        lambda: keras.callbacks.TerminateOnNaN(),
        lambda: keras.callbacks.SwapEMAWeights(),
    ],
)
@pytest.mark.long
def test_a_callback_that_steers_training(tmp_path, make):
    optimizer = {"class_name": "SGD", "config": {"learning_rate": 0.5, "use_ema": True}}
    train_both_ways(tmp_path, lambda folder: [make()], compiled=optimizer, epochs=6)


class Warmup(keras.callbacks.Callback):
    """Sets the learning rate at every step."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.001 * (batch + 1)


class StopAt(keras.callbacks.Callback):
    """Stops in the middle of an epoch, by the older name of the hook."""

    def on_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 5


def halving(model):
    """A callback that is made of a function."""

    def halve(batch, logs):
        model.optimizer.learning_rate = float(model.optimizer.learning_rate) / 2

    return keras.callbacks.LambdaCallback(on_train_batch_begin=halve)


@pytest.mark.parametrize("make", [lambda model: Warmup(), lambda model: StopAt(), halving])
def test_a_callback_of_ones_own_is_called_at_every_step(make, capsys):
    x, y = tiny.samples(count=64)
    arguments = {"batch_size": 8, "epochs": 2, "shuffle": False}
    model, other = tiny.dense(), tiny.dense()
    history = fit(model, x, y, callbacks=make(model), verbose=2, **arguments)
    # Keras' own `fit` on JAX holds the optimizer's variables, so that a callback cannot read them.
    if make is not halving or keras.backend.backend() != "jax":
        theirs = other.fit(x, y, callbacks=[make(other)], verbose=0, **arguments)
        tiny.assert_same(model, history, other, theirs, 1e-5)
    kind = type(make(model)).__name__
    assert f"Each step runs by itself, as {kind} may act" in capsys.readouterr().out


def test_early_stopping_stops(tmp_path):
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0)
    history, *_ = train_both_ways(tmp_path, lambda folder: [stop], epochs=6)
    assert history.epoch == [0, 1]


def test_csv_logger(tmp_path):
    _, *folders = train_both_ways(
        tmp_path, lambda folder: [keras.callbacks.CSVLogger(folder / "log.csv")]
    )
    texts = ((folder / "log.csv").read_text().splitlines() for folder in folders)
    ours, theirs = (list(csv.DictReader(lines)) for lines in texts)
    assert len(ours) == len(theirs) == 3
    for our_row, their_row in zip(ours, theirs, strict=True):
        assert our_row.keys() == their_row.keys() >= {"epoch", "loss", "val_loss"}
        for name, value in their_row.items():
            assert float(our_row[name]) == pytest.approx(float(value), abs=1e-5)


MORE = [pytest.param(save_freq, marks=pytest.mark.long) for save_freq in (1, 3, 11)]


@pytest.mark.parametrize("save_freq", [5, 24, *MORE])
@pytest.mark.long
def test_checkpoints_every_few_batches(tmp_path, save_freq):
    def checkpoint(folder):
        path = folder / "{epoch}-{batch}.keras"
        return [keras.callbacks.ModelCheckpoint(path, save_freq=save_freq)]

    _, *folders = train_both_ways(tmp_path, checkpoint, execution=1)
    ours, theirs = (sorted(folder.iterdir()) for folder in folders)
    assert len(theirs) == 24 // save_freq
    assert [file.name for file in ours] == [file.name for file in theirs]
    for our_file, their_file in zip(ours, theirs, strict=True):
        models = [keras.saving.load_model(file) for file in (our_file, their_file)]
        for one, another in zip(*map(tiny.state, models), strict=True):
            np.testing.assert_allclose(one, another, rtol=0, atol=1e-5)


@pytest.mark.parametrize("save_freq", [5, *MORE])
def test_backups_every_few_batches(tmp_path, save_freq):
    class Backup(keras.callbacks.BackupAndRestore):
        def _save_model(self):
            super()._save_model()
            metadata = Path(self.backup_dir, "training_metadata.json").read_text()
            self.saved.append((int(self.model.optimizer.iterations), metadata))

    saved = []

    def backup(folder):
        callback = Backup(folder / "backup", save_freq=save_freq)
        callback.saved = []
        saved.append(callback.saved)
        return [callback]

    train_both_ways(tmp_path, backup, execution=1)
    assert saved[0] == saved[1]
    assert [step for step, _ in saved[0]] == list(range(save_freq, 25, save_freq))


def test_a_checkpoint_of_two_trainings_counts_on(tmp_path):
    x, y = tiny.samples(count=64)
    callback = keras.callbacks.ModelCheckpoint(tmp_path / "{batch}.keras", save_freq=13)
    model = tiny.dense()
    for _ in range(2):
        fit(model, x, y, batch_size=8, epochs=1, callbacks=[callback], verbose=0)
    assert [file.name for file in tmp_path.iterdir()] == ["5.keras"]


@pytest.mark.parametrize("save_freq", ["epoch", False])
def test_a_backup_that_says_no_step_ends_no_chunk(tmp_path, save_freq):
    record = Record()
    record.calls = []
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
    arguments = {"callbacks": [backup, record], "batch_size": 8, "chunk": 100, "verbose": 0}
    fit(tiny.dense(), *tiny.samples(), **arguments)
    ends = [arguments for hook, arguments, _ in record.calls if hook == "on_train_batch_end"]
    assert ends == [[6]]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it writes by TensorFlow")
@pytest.mark.parametrize("update_freq", ["batch", 3, 5])
def test_tensorboard_writes_the_same_scalars(tmp_path, update_freq):
    pytest.importorskip("tensorboard")

    def board(folder):
        return [keras.callbacks.TensorBoard(folder, update_freq=update_freq, write_graph=False)]

    _, ours, theirs = train_both_ways(tmp_path, board, execution=1)
    ours, theirs = scalars(ours), scalars(theirs)
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    steps = [step for (_, name, step), _ in ours if name == "batch_loss"]
    every = 1 if update_freq == "batch" else update_freq
    assert steps == list(range(every, 25, every))
    names = {name for (_, name, _), _ in ours}
    assert {"batch_accuracy", "batch_loss"} <= names
    np.testing.assert_allclose([v for _, v in ours], [v for _, v in theirs], rtol=0, atol=1e-5)


def scalars(folder: Path):
    """`((run, name, step), value)` of all that TensorBoard would show but speed, in order."""
    import tensorflow as tf

    found = []
    for file in sorted(folder.glob("*/events*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if "per_second" not in value.tag:
                    key = file.parent.name, value.tag, event.step
                    found.append((key, float(tf.make_ndarray(value.tensor))))
    return found
