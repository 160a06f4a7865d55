"""`Prune` beside callbacks that choose among epochs: never silently a denser one."""

import keras
import numpy as np
import pytest
from fitting import Do, fit

import keras_lottery as kl
from keras_lottery import schedules


def stopping(**arguments):
    return keras.callbacks.EarlyStopping(restore_best_weights=True, patience=99, **arguments)


def checkpoint(folder, **arguments):
    return keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True, **arguments)


@pytest.mark.parametrize("prune_first", [True, False])
@pytest.mark.parametrize(
    "settings, epochs, said",
    [
        ({}, 6, r"last pruning \(epoch 4\).*`start_from_epoch=4`\."),
        # The last pruning comes when training is over: no epoch is as sparse as that.
        ({}, 4, r"last pruning \(epoch 4\).*`start_from_epoch=4`, and train on after.*`epochs=5`"),
        ({"rewind": kl.rewind.to_start()}, 6, "`start_from_epoch=4`"),
        ({"overrides": {"output": schedules.constant(0.3, begin=5)}}, 7, "`start_from_epoch=5`"),
    ],
)
def test_an_early_stopping_that_begins_too_early_is_refused(
    make_model, data, prune_first, settings, epochs, said
):
    prune = kl.Prune(schedules.polynomial(0.5, begin=1, end=4), **settings)
    callbacks = [prune, stopping()] if prune_first else [stopping(), prune]
    with pytest.raises(ValueError, match=rf"EarlyStopping\(restore_best_weights=True\).*{said}"):
        fit(make_model(), data, *callbacks, epochs=epochs, validation_data=data)


@pytest.mark.parametrize(
    "end, steps_per_execution, epoch",
    # Seven steps an epoch, in executions of 1 or of 7: then what is due inside comes after it.
    [(14, 1, 2), (13, 7, 2), (8, 4, 1), (12, 4, 2)],
)
def test_a_schedule_of_steps_has_its_epoch_said(make_model, data, end, steps_per_execution, epoch):
    def train(start_from_epoch):
        best = stopping(start_from_epoch=start_from_epoch, monitor="loss")
        prune = kl.Prune(schedules.polynomial(0.5, begin=2, end=end), unit="step")
        model = make_model(steps_per_execution=steps_per_execution)
        fit(model, data, prune, best, epochs=4)
        return kl.strip(model, at_least=0.5)

    with pytest.raises(ValueError, match=f"write `start_from_epoch={epoch}`"):
        train(epoch - 1)
    train(epoch)


def test_an_early_stopping_that_begins_in_time(make_model, data):
    """And one that restores nothing, or where nothing is to be pruned any more."""
    model = make_model()
    prune = kl.Prune(schedules.constant(0.5, begin=1))
    best = stopping(start_from_epoch=1, monitor="loss", baseline=0.0)
    fit(model, data, best, prune, epochs=3)
    assert best.best_epoch >= 1
    patient = keras.callbacks.EarlyStopping(monitor="loss", patience=99)
    fit(model, data, prune, patient, stopping(monitor="loss"), epochs=2)
    kl.strip(model, at_least=0.5)


def test_what_was_restored_from_elsewhere_is_an_error(make_model, data):
    """Weights of before the last pruning, by whatever way they come."""
    model, dense = make_model(), make_model().get_weights()
    fit(model, data, kl.Prune(schedules.constant(0.5, begin=1)), epochs=2)
    model.set_weights(dense)
    with pytest.raises(kl.MaskError, match="fc1/kernel"):
        kl.strip(model)
    with pytest.raises(kl.MaskError, match="fc1/kernel"):
        fit(model, data, kl.Prune(schedules.constant(0.5)), epochs=1)


@pytest.mark.parametrize("prune_first", [True, False])
def test_a_checkpoint_of_the_best_epoch(make_model, data, tmp_path, prune_first):
    """By `val_loss` that is a dense one: said, with what to do, which then is right."""
    prune, best = kl.Prune(schedules.constant(0.75, begin=2)), checkpoint(tmp_path)
    callbacks = [prune, best] if prune_first else [best, prune]
    advice = (
        r"ModelCheckpoint\(save_best_only=True\).*`start_from_epoch=2`.*fit\(epochs=2, .*"
        r"fit\(initial_epoch=2, epochs=3"
    )
    model = make_model(keras.optimizers.Adam(0.05))
    with pytest.warns(UserWarning, match=advice):
        fit(model, data, *callbacks, epochs=3, validation_data=data)
    saved = keras.models.load_model(tmp_path / "best.keras")
    assert np.all(keras.ops.convert_to_numpy(saved.get_layer("fc1").kernel))
    with pytest.raises(ValueError, match="no masks to strip"):
        kl.strip(saved, at_least=0.75)

    model = make_model(keras.optimizers.Adam(0.05))
    prune, best = kl.Prune(schedules.constant(0.75, begin=2)), checkpoint(tmp_path)
    fit(model, data, prune, epochs=2, validation_data=data)
    fit(model, data, prune, best, initial_epoch=2, epochs=3, validation_data=data)
    saved = keras.models.load_model(tmp_path / "best.keras")
    assert np.mean(keras.ops.convert_to_numpy(saved.get_layer("fc1").kernel) == 0) == 0.75


def test_both_are_one_error(make_model, data, tmp_path):
    prune = kl.Prune(schedules.constant(0.75, begin=2))
    with pytest.raises(ValueError, match=r"EarlyStopping\(.*ModelCheckpoint\("):
        fit(make_model(), data, prune, checkpoint(tmp_path), stopping(), validation_data=data)


def test_a_search_with_rewinds_is_checkpointed_after_its_last_pruning(make_model, data, tmp_path):
    def search():
        return kl.Prune(schedules.constant(0.75, begin=1), rewind=kl.rewind.to_start())

    with pytest.warns(UserWarning, match=r"fit\(epochs=2, .*fit\(initial_epoch=2, epochs=3"):
        fit(make_model(), data, search(), checkpoint(tmp_path, monitor="loss"), epochs=3)
    model, prune = make_model(), search()
    fit(model, data, prune, epochs=2)
    best = checkpoint(tmp_path, monitor="loss")
    fit(model, data, prune, best, initial_epoch=2, epochs=3)
    kl.strip(model, at_least=0.75)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_unknown_epochs_are_told_after_the_first(make_model, data):
    """How many steps an epoch has is known only then."""
    tf = pytest.importorskip("tensorflow")
    batches = tf.data.Dataset.from_tensor_slices(data).batch(12).filter(lambda x, y: True)
    prune = kl.Prune(schedules.polynomial(0.5, begin=2, end=13), unit="step")
    ended = []
    record = Do(lambda model, epoch: ended.append(epoch))
    with pytest.raises(ValueError, match="`start_from_epoch=1`"):
        make_model().fit(
            batches,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=[record, prune, stopping(monitor="loss")],
        )
    assert ended == [0]
