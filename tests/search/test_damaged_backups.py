"""What a killed `fit` left that is lost, damaged or of another training: refused, with the cure."""

import json

import keras
import pytest
from interrupted import (
    EPOCHS,
    SETTINGS,
    DieAtTheEnd,
    DieInTraining,
    Training,
    assert_same,
    between_the_two,
    fit,
    unnamed_model,
)

import keras_lottery as kl
from keras_lottery import schedules
from keras_lottery.search import resuming


def cut(file):
    file.write_bytes(file.read_bytes()[:-200])


def empty(file):
    file.write_bytes(b"")


@pytest.mark.parametrize(
    "damage, said",
    [
        ("weights", r"wrote .*latest.weights.h5'.*cannot be read.*double_checkpoint=True"),
        ("no weights", "training_metadata.json' is there and latest.weights.h5 is not.*remove the"),
        ("epoch", r"wrote .*training_metadata.json'.*Write \{\"epoch\": N"),
        ("no epoch", "latest.weights.h5' is there and training_metadata.json is not.*remove the f"),
    ],
)
@pytest.mark.parametrize("backup", [True, False])
def test_what_backup_and_restore_left_half_written(tmp_path, data, damage, said, backup):
    """Keras would load the one without the other, or fail with no word of what to do."""
    training = Training(tmp_path, data, SETTINGS["random"])
    training.kill(DieInTraining(3), backup=backup)
    weights_file = training.weights / "latest.weights.h5"
    epoch_file = training.weights / "training_metadata.json"
    damaged = {
        "weights": lambda: cut(weights_file),
        "no weights": weights_file.unlink,
        "epoch": lambda: empty(epoch_file),
        "no epoch": epoch_file.unlink,
    }
    damaged[damage]()
    with pytest.raises(ValueError, match=said):
        training.run(backup=backup)


@pytest.mark.parametrize("older", [False, True])
def test_weights_that_open_and_cannot_be_read(tmp_path, data, monkeypatch, older):
    """As HDF5 may leave a file; Keras takes the older one only where the newer does not open."""
    training = Training(tmp_path, data, SETTINGS["random"], double_checkpoint=older)
    training.kill(DieInTraining(3))

    def fail(name, item):
        raise RuntimeError("Can't get deprecated info for object")

    monkeypatch.setattr(resuming, "_read", fail)
    cure = "move .*weights.h5.bkp' and .* in their places" if older else "read: remove the folder"
    with pytest.raises(ValueError, match=rf"cannot be read.*{cure}|{cure}"):
        training.run()


def test_a_double_checkpoint_serves_weights_that_were_half_written(trainings):
    training, (_, expected) = trainings("rewound", double_checkpoint=True)
    training.kill(between_the_two(4))
    # As if killed while it wrote the weights of the next epoch, over its copy of the last.
    for name in ("latest.weights.h5", "training_metadata.json"):
        file = training.weights / name
        file.with_name(f"{name}.bkp").write_bytes(file.read_bytes())
    cut(training.weights / "latest.weights.h5")
    assert_same(training.run()[1], expected)


@pytest.mark.parametrize("settings", ["rewound every epoch", "steps"])
def test_weights_and_epoch_that_do_not_belong_together(trainings, settings):
    """Killed between the two: the cure that is named ends as if nothing had happened."""
    training, (_, expected) = trainings(settings)
    training.kill(DieInTraining(4))
    epoch_file = training.weights / "training_metadata.json"
    epoch_file.write_text(json.dumps({"epoch": 3, "batch": 0}))
    said = r"from epoch 3 with the weights of epoch 4.*Write \{\"epoch\": 4, \"batch\": 0\} into"
    with pytest.raises(ValueError, match=said):
        training.run()
    epoch_file.write_text(json.dumps({"epoch": 4, "batch": 0}))
    assert_same(training.run()[1], expected)


def test_weights_from_elsewhere(tmp_path, data):
    training = Training(tmp_path, data, SETTINGS["random"])
    training.kill(DieInTraining(3))
    other = Training(tmp_path / "other", data, SETTINGS["rewound"])
    (tmp_path / "other").mkdir()
    other.kill(DieInTraining(3))
    (training.weights / "latest.weights.h5").write_bytes(
        (other.weights / "latest.weights.h5").read_bytes()
    )
    with pytest.raises(ValueError, match=r"after epoch 3 with other weights than.*from_zeros"):
        training.run()


@pytest.mark.long
def test_lost_masks_are_an_error(tmp_path, data):
    """With epochs to go, or none; the weights' zeros give them back."""
    training = Training(tmp_path, data, SETTINGS["random"])
    training.kill(DieInTraining(3))
    with pytest.raises(ValueError, match=r"goes on from epoch 3.*Give `backup`.*from_zeros"):
        training.run(backup=False)
    training.kill(DieAtTheEnd())
    with pytest.raises(ValueError, match=r"goes on from epoch 6.*Give `backup`.*from_zeros"):
        training.run(backup=False)

    model = unnamed_model()
    model.optimizer.build(model.trainable_variables)
    model.load_weights(training.weights / "latest.weights.h5")
    kl.Lottery.from_zeros(model)
    prune = kl.Prune(**SETTINGS["random"])
    fit(model, data, prune, keras.callbacks.BackupAndRestore(training.weights), epochs=EPOCHS)
    assert prune.lottery.sparsity == pytest.approx(1 - 0.7**3, abs=0.01)


def test_lost_weights_are_said(tmp_path, data):
    """Masks, but nothing to go on from: an error where none was asked for, else a warning."""
    training = Training(tmp_path, data, SETTINGS["random"])
    training.kill(DieInTraining(3))
    prune = kl.Prune(**SETTINGS["random"], backup=str(training.masks))
    with pytest.raises(ValueError, match=r"up to epoch 3 or 2, and training goes on from epoch 0"):
        fit(unnamed_model(), data, prune)
    for file in training.weights.iterdir():
        file.unlink()
    with pytest.warns(UserWarning, match="masks of training up to epoch 3.*training begins anew"):
        assert len(training.run()[0]["sparsity"]) == EPOCHS


def test_a_backup_in_the_midst_of_an_epoch_is_refused(tmp_path, data):
    prune = kl.Prune(schedules.geometric(0.3), backup=str(tmp_path / "masks"))
    restore = keras.callbacks.BackupAndRestore(tmp_path / "weights", save_freq=3)
    with pytest.raises(ValueError, match=r"save_freq=3.*write save_freq='epoch'"):
        fit(unnamed_model(), data, prune, restore)
