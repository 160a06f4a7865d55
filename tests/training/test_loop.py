"""Callbacks see in `fit` what they would see in `model.fit` with `steps_per_execution`."""

import keras
import numpy as np
import pytest
import tiny

import keras_lottery as kl
from keras_lottery.training import fit

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="on torch, fit is model.fit"
)
STEPS = 7  # 50 samples in batches of 8


class Record(keras.callbacks.Callback):
    """Writes down every call of a hook, with the optimizer's count of steps."""

    def __init__(self, events=()):
        super().__init__()
        self.events = events
        self.calls = []

    def next_event(self, step):
        return min((event for event in self.events if event > step), default=None)

    def iterations(self):
        return int(self.model.optimizer.iterations)

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(("epoch", epoch, self.iterations()))

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(("begin", batch, self.iterations()))

    def on_train_batch_end(self, batch, logs=None):
        assert logs["loss"] > 0
        self.calls.append(("end", batch, self.iterations()))

    def begins(self):
        return [count for hook, _, count in self.calls if hook == "begin"]


def train(*callbacks, model=None, **arguments):
    arguments = {"batch_size": 8, "epochs": 2, "verbose": 0} | arguments
    model = model or tiny.dense()
    return model, fit(model, *tiny.samples(), callbacks=list(callbacks), **arguments)


def test_hooks_come_between_chunks_with_the_numbers_of_the_steps():
    record = Record()
    train(record, chunk=5)
    assert record.calls == [
        ("epoch", 0, 0),
        ("begin", 0, 0),
        ("end", 4, 5),
        ("begin", 5, 5),
        ("end", 6, 7),
        ("epoch", 1, 7),
        ("begin", 0, 7),
        ("end", 4, 12),
        ("begin", 5, 12),
        ("end", 6, 14),
    ]


def test_a_chunk_ends_exactly_where_an_event_is_due():
    record = Record(events=[1, 6, 7, 10])
    model, history = train(record, Record(events=[13]))
    assert record.begins() == [0, 1, 6, 7, 10, 13]
    other, other_history = train()
    tiny.assert_same(model, history, other, other_history, 1e-6)


def test_events_are_counted_from_epoch_zero():
    record = Record(events=[3, STEPS + 2])
    train(record, initial_epoch=1)
    assert record.begins() == [0, 2]


def test_an_event_in_the_past_is_an_error():
    record = Record()
    record.next_event = lambda step: step
    with pytest.raises(ValueError, match=r"`next_event\(0\)` must return a later step"):
        train(record)


def test_a_callback_may_change_masks_between_chunks():
    model = tiny.dense()
    lottery = kl.Lottery(model, kl.Recipe(include="hidden"))
    kernel = model.get_layer("hidden").kernel
    zeros = []

    class PruneAtNine(Record):
        def on_train_batch_begin(self, batch, logs=None):
            zeros.append(np.count_nonzero(keras.ops.convert_to_numpy(kernel) == 0))
            if self.iterations() == 9:
                lottery.set_masks({"hidden/kernel": np.eye(6, 8, dtype=bool)})

    train(PruneAtNine(events=[9, 11]), model=model)
    assert zeros == [0, 0, 0, 42]
    assert np.count_nonzero(keras.ops.convert_to_numpy(kernel) == 0) == 42


def test_prune_falls_exactly_on_its_step():
    x, y = tiny.samples()
    arguments = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}

    def prune():
        return kl.Prune(kl.schedules.polynomial(0.75, begin=4, end=16, every=5), unit="step")

    model, other = tiny.dense(), tiny.dense()
    history = fit(model, x, y, callbacks=[prune()], **arguments)
    plain = other.fit(x, y, callbacks=[prune()], **arguments)
    assert 0 < history.history["sparsity"][1] < history.history["sparsity"][2] == 0.75
    tiny.assert_same(model, history, other, plain, 1e-6)


def test_stop_training_stops_after_the_chunk():
    class Stop(Record):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    model, history = train(Stop(events=[3]))
    assert int(model.optimizer.iterations) == 3
    assert history.epoch == [0]


def test_the_usual_callbacks_do_as_in_model_fit(tmp_path):
    x, y = tiny.samples()

    def callbacks(name):
        return [
            keras.callbacks.EarlyStopping(
                "val_loss", patience=2, min_delta=0.1, restore_best_weights=True
            ),
            keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5),
            keras.callbacks.CSVLogger(tmp_path / f"{name}.csv"),
            keras.callbacks.ModelCheckpoint(tmp_path / f"{name}.keras", save_best_only=True),
        ]

    def model():
        return tiny.dense(compiled=keras.optimizers.SGD(5.0))

    arguments = {"batch_size": 8, "epochs": 12, "shuffle": False, "verbose": 0}
    arguments |= {"validation_data": (x[:20], y[:20]), "validation_freq": 1}
    fused, plain = model(), model()
    history = fit(fused, x, y, callbacks=callbacks("fused"), **arguments)
    other_history = plain.fit(x, y, callbacks=callbacks("plain"), **arguments)
    assert 2 < len(history.epoch) < 12
    tiny.assert_same(fused, history, plain, other_history, 1e-5)
    lines = [(tmp_path / f"{name}.csv").read_text().splitlines() for name in ("fused", "plain")]
    assert lines[0][0] == lines[1][0] and len(lines[0]) == len(lines[1])
    best = [keras.saving.load_model(tmp_path / f"{name}.keras") for name in ("fused", "plain")]
    for ours, theirs in zip(best[0].get_weights(), best[1].get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_an_interrupted_training_goes_on_where_it_was(tmp_path):
    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(backup(), Interrupt(), epochs=4)
    for way in ("always", "never"):
        copy = tmp_path / way
        copy.mkdir()
        for file in (tmp_path / "backup").iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        resumed, history = train(keras.callbacks.BackupAndRestore(copy), epochs=4, fused=way)
        assert history.epoch == [2, 3]
        whole, _ = train(epochs=4)
        for ours, theirs in zip(tiny.state(resumed), tiny.state(whole), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_validation_at_the_epochs_asked_for():
    x, y = tiny.samples()
    _, history = train(epochs=4, validation_data=(x, y), validation_freq=[1, 4])
    assert len(history.history["val_loss"]) == 2
    _, history = train(epochs=4, validation_data=(x, y), validation_freq=3)
    assert len(history.history["val_loss"]) == 1


def test_the_progress_bar_ends_at_the_last_step(capsys):
    train(verbose=1, chunk=3, epochs=1)
    assert f"{STEPS}/{STEPS}" in capsys.readouterr().out
