"""A `fit` with `Prune(backup=...)` that was killed ends as one that was not."""

import keras
import pytest
from fitting import weights
from interrupted import (
    EPOCHS,
    SETTINGS,
    DieAtTheEnd,
    DieInTraining,
    Killed,
    Training,
    assert_same,
    between_the_two,
    fit,
    unnamed_model,
)

import keras_lottery as kl
from keras_lottery import schedules
from keras_lottery.tickets import file as ticket_file

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
