"""`Prune` in `model.fit` beside Keras' own callbacks."""

import keras
import numpy as np
import pytest
from fitting import Do, fit, weights

import keras_lottery as kl
from keras_lottery import schedules


def stopping(**arguments):
    return keras.callbacks.EarlyStopping(
        "sparsity", mode="min", restore_best_weights=True, patience=99, **arguments
    )


def test_early_stopping_that_restores_from_before_the_pruning(make_model, data):
    """Its best epoch is the dense one: an error, whichever comes first."""
    with pytest.raises(kl.MaskError, match=r"'fc1/kernel': 24 of 24.*EarlyStopping"):
        watch = stopping()
        fit(make_model(), data, _log(watch), kl.Prune(schedules.constant(0.5, begin=2)), epochs=3)

    model = make_model()
    fit(model, data, kl.Prune(schedules.constant(0.5, begin=2)), stopping(), epochs=3)
    with pytest.raises(kl.MaskError, match="fc1/kernel"):
        kl.strip(model)
    with pytest.raises(kl.MaskError, match="fc1/kernel"):
        fit(model, data, kl.Prune(schedules.constant(0.5)), epochs=1)


def _log(callback):
    """`EarlyStopping` in front of `Prune` cannot see `sparsity`; an epoch's number does as well."""
    callback.get_monitor_value = lambda logs: callback._epoch
    begin = callback.on_epoch_begin

    def on_epoch_begin(epoch, logs=None):
        callback._epoch = epoch
        begin(epoch, logs)

    callback.on_epoch_begin = on_epoch_begin
    return callback


def test_early_stopping_that_starts_after_the_last_pruning(make_model, data):
    model = make_model()
    prune = kl.Prune(schedules.constant(0.5, begin=1))
    best = stopping(start_from_epoch=1)
    fit(model, data, _log(best), prune)
    assert best.best_epoch == 1
    assert prune.lottery.sparsity == 0.5
    kl.strip(model)


def test_a_checkpoint_of_the_best_epoch(make_model, data, tmp_path):
    """By `val_loss` the best is dense, unless the checkpoint begins after the last pruning."""

    def saved_sparsity(*checkpoints):
        model, path = make_model(keras.optimizers.Adam(0.05)), tmp_path / "best.weights.h5"
        prune = kl.Prune(schedules.constant(0.75, begin=2))
        for callbacks in checkpoints:
            best = keras.callbacks.ModelCheckpoint(
                path, "val_loss", save_best_only=True, save_weights_only=True
            )
            fit(model, data, prune, *[best] * callbacks, epochs=3, validation_data=data)
        plain = make_model("adam")
        plain.optimizer.build(plain.trainable_variables)
        plain.load_weights(path)
        return np.mean(keras.ops.convert_to_numpy(plain.get_layer("fc1").kernel) == 0)

    assert saved_sparsity(True) == 0
    assert saved_sparsity(False, True) == 0.75


def test_a_reduced_learning_rate_is_rewound(make_model, data):
    rates = []
    plateau = keras.callbacks.ReduceLROnPlateau("sparsity", factor=0.1, patience=1, mode="min")
    record = Do(lambda model, epoch: rates.append(float(model.optimizer.learning_rate)))
    prune = kl.Prune(schedules.constant(0.5, begin=3), rewind=kl.rewind.to_start())
    fit(make_model(keras.optimizers.SGD(0.1)), data, prune, plateau, record)
    # Reduced after the second and third epoch, rewound, reduced once by the fourth.
    np.testing.assert_allclose(rates, [0.1, 0.01, 0.001, 0.01], rtol=1e-5)


class Interruption(Exception):
    pass


def interrupt(model, epoch):
    if epoch == 3:
        raise Interruption


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


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": schedules.geometric(0.3), "criterion": "least_change"},
        {"schedule": schedules.geometric(0.3, every=2), "criterion": "random"},
        {
            "schedule": schedules.geometric(0.3, every=2, begin=1),
            "rewind": kl.rewind.to_epoch(1),
            "kept": "reshuffle",
            "pruned": "freeze",
        },
    ],
)
def test_an_interrupted_fit_goes_on(data, tmp_path, settings):
    """Killed in its fourth epoch; a new model in a new fit ends as if nothing had happened."""

    def train(*others):
        prune = kl.Prune(**settings, backup=str(tmp_path / "masks"))
        restore = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        model = unnamed_model()
        return fit(model, data, prune, *others, restore, epochs=6), model, prune.lottery

    whole, expected, lottery = train()
    with pytest.raises(Interruption):
        train(Do(interrupt))
    rest, model, resumed = train()
    assert len(rest["sparsity"]) == 3
    assert rest["sparsity"] == whole["sparsity"][3:]
    assert rest["loss"] == whole["loss"][3:]
    for one, other in zip(weights(expected), weights(model), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(lottery.masks.values(), resumed.masks.values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.glob("masks*"))  # nothing is left behind


def test_lost_masks_are_an_error(data, tmp_path):
    folder, masks = tmp_path / "backup", str(tmp_path / "masks")

    def train(*callbacks, **settings):
        prune = kl.Prune(schedules.geometric(0.3), **settings)
        fit(unnamed_model(), data, prune, *callbacks)

    with pytest.raises(Interruption):
        train(Do(interrupt), keras.callbacks.BackupAndRestore(folder), backup=masks)
    with pytest.raises(ValueError, match=r"goes on from epoch 3.*Give `backup`"):
        train(keras.callbacks.BackupAndRestore(folder))
    with pytest.raises(ValueError, match=r"up to epoch 4 or 3, and training goes on from epoch 0"):
        train(backup=masks)
