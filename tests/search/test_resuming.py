"""A `fit` with `Prune(backup=...)` that was killed: it ends as one that was not, or refuses."""

import functools
import json

import keras
import numpy as np
import pytest
from fitting import Do, weights

import keras_lottery as kl
from keras_lottery import schedules
from keras_lottery.search import resuming
from keras_lottery.tickets import file as ticket_file

EPOCHS = 6
SETTINGS = {
    "least_change": {"schedule": schedules.geometric(0.3), "recipe": "least_change"},
    "random": {"schedule": schedules.geometric(0.3, every=2), "recipe": "random"},
    "rewound": {
        "schedule": schedules.geometric(0.3, every=2, begin=1),
        "rewind": kl.rewind.to_epoch(1),
        "recipe": kl.Recipe(restart_from="reshuffle", hold_at="freeze"),
    },
    # Every epoch ends at the same iteration: the optimizer's count tells nothing.
    "rewound every epoch": {"schedule": schedules.geometric(0.3), "rewind": kl.rewind.to_start()},
    "steps": {"schedule": schedules.polynomial(0.8, begin=2, end=16), "unit": "step"},
}


def fit(model, data, *callbacks, epochs=EPOCHS, **arguments):
    """Three steps an epoch, in a fixed order."""
    return model.fit(
        *data,
        batch_size=28,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    ).history


class Killed(BaseException):
    """As SIGKILL: nobody catches it, and no callback is called any more."""


class Training:
    """A `fit` in a folder, that can be killed and started again."""

    def __init__(self, folder, data, settings, double_checkpoint=False):
        self.folder = folder
        self.data = data
        self.settings = settings
        self.double_checkpoint = double_checkpoint
        self.masks = folder / "masks"
        self.weights = folder / "weights"

    def run(self, *others, prune_first=True, backup=True, epochs=EPOCHS):
        """Its history, the model's weights and the masks."""
        keras.utils.set_random_seed(0)
        model = unnamed_model()
        prune = kl.Prune(**self.settings, backup=str(self.masks) if backup else None)
        restore = keras.callbacks.BackupAndRestore(
            self.weights, double_checkpoint=self.double_checkpoint
        )
        ours = [prune, *others, restore] if prune_first else [restore, *others, prune]
        history = fit(model, self.data, *ours, epochs=epochs)
        masks = list(prune.lottery.masks.values())
        return history, [*weights(model), *weights(model.optimizer), *masks]

    def kill(self, *others, **arguments):
        with pytest.raises(Killed):
            self.run(*others, **arguments)


def unnamed_model():
    """Keras numbers its layers anew each time."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "relu", kernel_initializer=keras.initializers.GlorotNormal(1)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotNormal(2)),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def die(model, epoch, at):
    if epoch == at:
        raise Killed


def between_the_two(at):
    """Between the ends of `Prune` and `BackupAndRestore`, after an epoch."""
    return Do(functools.partial(die, at=at))


class DieInTraining(keras.callbacks.Callback):
    def __init__(self, at, batch=1):
        super().__init__()
        self.at, self.batch = at, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.at, self.batch):
            raise Killed


class DieAtTheEnd(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        raise Killed


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def wholes():
    """What each of the settings gives if nobody kills it, once it is known."""
    return {}


@pytest.fixture
def trainings(tmp_path, data, wholes):
    """A function that makes a `Training`, and what it gives if nobody kills it."""

    def make(name, **arguments):
        if name not in wholes:
            (tmp_path / "whole").mkdir()
            wholes[name] = Training(tmp_path / "whole", data, SETTINGS[name]).run()
        (tmp_path / "killed").mkdir()
        return Training(tmp_path / "killed", data, SETTINGS[name], **arguments), wholes[name]

    return make


NOW = ("rewound every epoch", "random")
MORE_DEATHS = [
    *((name, DieInTraining(3), 3) for name in SETTINGS if name not in NOW),
    *((name, DieAtTheEnd(), 0) for name in SETTINGS if name != "random"),
    ("steps", between_the_two(3), 3),
]


@pytest.mark.parametrize(
    "settings, death, epochs_left",
    [
        *((name, DieInTraining(3), 3) for name in NOW),
        ("random", DieAtTheEnd(), 0),
        ("random", DieInTraining(0), 6),
        ("rewound", between_the_two(0), 6),
        ("least_change", between_the_two(5), 1),
        *(pytest.param(*death, marks=pytest.mark.long) for death in MORE_DEATHS),
    ],
)
def test_it_ends_as_if_nothing_had_happened(trainings, settings, death, epochs_left):
    training, (history, expected) = trainings(settings)
    training.kill(death)
    rest, found = training.run()
    assert len(rest.get("sparsity", [])) == epochs_left
    for key, values in rest.items():
        assert values == history[key][EPOCHS - epochs_left :]
    assert_same(found, expected)


@pytest.mark.parametrize("double_checkpoint", [False, True])
@pytest.mark.long
def test_it_may_be_killed_again_and_again(trainings, double_checkpoint):
    """In the same epoch twice: the states of two epochs must be the right two."""
    training, (_, expected) = trainings("rewound", double_checkpoint=double_checkpoint)
    for death in (2, 2, 3, 4):
        training.kill(between_the_two(death))
    training.kill(DieAtTheEnd())
    assert_same(training.run()[1], expected)


def test_after_its_end_it_begins_anew_if_it_is_run_again(trainings):
    """As a script that is started a second time; it leaves only what it left before."""
    training, (_, expected) = trainings("least_change")
    names = {"masks", "masks.previous", "masks.finished"}
    for _ in range(2):
        history, found = training.run()
        assert len(history["sparsity"]) == EPOCHS
        assert_same(found, expected)
        assert {file.name for file in training.folder.iterdir()} == names


@pytest.mark.parametrize("settings", ["least_change", "rewound every epoch"])
@pytest.mark.long
def test_a_longer_fit_goes_on_from_a_finished_one(tmp_path, data, settings):
    """Where `BackupAndRestore` keeps its file: what the last pruning did is done again."""
    training = Training(tmp_path, data, SETTINGS[settings])
    whole = training.run(epochs=EPOCHS)
    training.kill(DieAtTheEnd(), epochs=4)
    assert_same(training.run(epochs=EPOCHS)[1], whole[1])


def test_killed_inside_the_write_of_the_masks(trainings, monkeypatch):
    training, (_, expected) = trainings("random")
    write, saved = ticket_file.write, []

    def killed(path, contents):
        saved.append(path)
        if len(saved) == 3:
            path.with_name(f".{path.name}.12345678.tmp").write_bytes(contents[:100])
            raise Killed
        write(path, contents)

    monkeypatch.setattr(ticket_file, "write", killed)
    training.kill()
    assert list(training.folder.glob(".masks.*.tmp"))
    assert_same(training.run()[1], expected)
    assert not list(training.folder.glob(".masks*"))


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


def test_prune_after_backup_and_restore_is_said(trainings):
    """It works, but cannot go on from a kill between the two."""
    training, (_, whole) = trainings("random")
    said = "comes after BackupAndRestore.*Put `Prune` before"
    with pytest.warns(UserWarning, match=said):
        training.kill(DieInTraining(3), prune_first=False)
    with pytest.warns(UserWarning, match=said), pytest.warns(UserWarning, match="exactly zero"):
        found = training.run(prune_first=False)
    assert_same(found[1], whole)
    with pytest.warns(UserWarning, match=said):
        training.kill(between_the_two(3), prune_first=False)
    with (
        pytest.warns(UserWarning, match=said),
        pytest.warns(UserWarning, match="exactly zero"),
        pytest.raises(ValueError, match=r"up to epoch 3 or 2, and training goes on from epoch 4"),
    ):
        training.run(prune_first=False)


def test_a_backup_in_the_midst_of_an_epoch_is_refused(tmp_path, data):
    prune = kl.Prune(schedules.geometric(0.3), backup=str(tmp_path / "masks"))
    restore = keras.callbacks.BackupAndRestore(tmp_path / "weights", save_freq=3)
    with pytest.raises(ValueError, match=r"save_freq=3.*write save_freq='epoch'"):
        fit(unnamed_model(), data, prune, restore)


def test_fits_in_a_row_with_one_backup(tmp_path, data):
    """The masks on the model are newer than those in the file, which are of before the last
    pruning."""
    prune = kl.Prune(schedules.geometric(0.3), backup=str(tmp_path / "masks"))
    model, whole = unnamed_model(), unnamed_model()
    for epoch in range(3):
        fit(model, data, prune, initial_epoch=epoch, epochs=epoch + 1)
    fit(whole, data, kl.Prune(schedules.geometric(0.3)), epochs=3)
    assert_same(weights(model), weights(whole))


def test_an_interrupted_cell_that_is_run_again(tmp_path, data):
    """In one process: the model and the callback are those of before, the weights are put back."""

    class Interrupt(keras.callbacks.Callback):
        done = False

        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 11 and not self.done:
                self.done = True
                raise KeyboardInterrupt

    prune = kl.Prune(schedules.geometric(0.3), backup=str(tmp_path / "masks"))
    restore = keras.callbacks.BackupAndRestore(tmp_path / "weights")
    model, whole, once = unnamed_model(), unnamed_model(), Interrupt()
    with pytest.raises(KeyboardInterrupt):
        fit(model, data, prune, once, restore, epochs=5)
    fit(model, data, prune, once, restore, epochs=5)
    fit(whole, data, kl.Prune(schedules.geometric(0.3)), epochs=5)
    assert_same(weights(model), weights(whole))
