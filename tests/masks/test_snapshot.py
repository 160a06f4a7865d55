"""What is remembered of a model and its optimizers, and how it goes to another model."""

import keras
import numpy as np
import pytest

from keras_lottery.masks.snapshot import Snapshot
from keras_lottery.model import trainers, variables
from keras_lottery.model.arrays import array


def make(optimizer="adam", **names):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, **names),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(optimizer, "mse")
    trainers.build_optimizer(model)
    return model


def taken(model, step=0):
    return Snapshot.take(variables.named(model), trainers.optimizers_of(model), step, mask_ids=[])


def test_it_is_a_copy():
    model = make(keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True))
    point = taken(model, step=5)
    assert point.step == 5
    before = {name: value.copy() for name, value in point.values.items()}
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    assert list(point.values) == list(variables.named(model))
    for name, value in before.items():
        np.testing.assert_array_equal(point.values[name], value)
    (state,) = point.optimizers
    assert state.optimizer is model.optimizer
    assert state.values["0/iteration"] == 0
    assert list(state.averages) == [
        name for name in before if not name.endswith(("moving_mean", "moving_variance"))
    ]


def test_it_moves_to_a_model_whose_layers_have_other_numbers():
    model, other = make(), make()
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    point = taken(model, step=1)
    moved = point.moved_to(other)
    assert list(moved.values) == list(variables.named(other))
    assert list(moved.values) != list(point.values)
    for one, value in zip(point.values.values(), moved.values.values(), strict=True):
        np.testing.assert_array_equal(one, value)
    (state,) = moved.optimizers
    assert state.optimizer is other.optimizer
    assert list(state.values) == list(taken(other).optimizers[0].values)
    name = next(name for name in variables.named(other) if name.endswith("kernel"))
    np.testing.assert_array_equal(
        state.values[f"0/_momentums/{name}"], array(model.optimizer._momentums[0])
    )


def test_an_optimizer_of_another_class_has_no_state_there():
    moved = taken(make("adam")).moved_to(make("sgd"))
    assert moved.optimizers == []
    model = make("sgd")
    assert [one.optimizer for one in taken(make("sgd")).moved_to(model).optimizers] == [
        model.optimizer
    ]


def test_another_architecture_is_refused():
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    with pytest.raises(ValueError, match="dense"):
        taken(make()).moved_to(other)


def test_slots_follow_their_variables_to_other_names():
    point = taken(make(name="first"))
    names = {name: name.replace("first", "renamed") for name in point.values}
    renamed = point.renamed(names)
    assert "renamed/kernel" in renamed.values
    (state,) = renamed.optimizers
    assert "0/_velocities/renamed/kernel" in state.values
    assert not any("first" in name for name in state.values)
    assert "0/iteration" in state.values
