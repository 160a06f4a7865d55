"""The state of optimizers by name, whatever was frozen, built or compiled in between."""

import keras
import numpy as np
import pytest

from keras_lottery.model import keras_internals, optimizer_state, variables
from keras_lottery.model.arrays import array


def make():
    return keras.Sequential(
        [
            keras.Input((4, 2)),
            keras.layers.Conv1D(3, 2, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="fc"),
        ]
    )


def names_of(model):
    return {id(variable): name for name, variable in variables.named(model).items()}


def stepped(optimizer, model, count=2):
    optimizer.build(model.trainable_variables)
    for _ in range(count):
        optimizer.apply([np.ones(v.shape, "f4") for v in model.trainable_variables])
    return optimizer


def test_names_go_by_the_variable_and_not_by_its_place():
    model = make()
    optimizer = stepped(keras.optimizers.Adam(), model)
    found = optimizer_state.named(optimizer, names_of(model))
    assert list(found) == [
        "0/iteration",
        "0/learning_rate",
        *(
            f"0/{slot}/{name}"
            for name in ("conv/kernel", "conv/bias", "fc/kernel", "fc/bias")
            for slot in ("_momentums", "_velocities")
        ),
    ]
    model.get_layer("conv").trainable = False
    later = stepped(keras.optimizers.Adam(), model)
    rest = optimizer_state.named(later, names_of(model))
    assert set(rest) == {name for name in found if "conv" not in name}
    assert rest["0/_momentums/fc/kernel"].shape == (9, 2)


def test_a_variable_that_is_none_of_the_models_goes_by_its_path():
    model, other = make(), keras.Variable(np.ones(2), name="temperature")
    optimizer = keras.optimizers.SGD(momentum=0.9)
    optimizer.build([*model.trainable_variables, other])
    assert f"0/momentums/{other.path}" in optimizer_state.named(optimizer, names_of(model))


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Keras' loss scaling cannot step eagerly on JAX"
)
def test_parts_are_told_apart_and_what_is_not_theirs_is_left_out():
    model = make()
    inner = keras.optimizers.SGD(momentum=0.9, use_ema=True)
    outer = stepped(keras.optimizers.LossScaleOptimizer(inner), model)
    ours = inner.add_variable_from_reference(model.get_layer("fc").kernel, name="mask")
    found = optimizer_state.named(outer, names_of(model), [id(ours)])
    assert {name.partition("/")[0] for name in found} == {"0", "1"}
    assert not any("mask" in name or "average" in name for name in found)
    assert any("mask" in name for name in optimizer_state.named(outer, names_of(model)))
    averages = optimizer_state.averages(outer, names_of(model))
    assert list(averages) == ["conv/kernel", "conv/bias", "fc/kernel", "fc/bias"]
    assert averages["fc/kernel"].shape == (9, 2)


@pytest.mark.parametrize(
    "optimizer, start",
    [
        (lambda: keras.optimizers.Adagrad(initial_accumulator_value=0.3), 0.3),
        (lambda: keras.optimizers.Ftrl(initial_accumulator_value=0.2), 0.2),
        (lambda: keras.optimizers.Adamax(), 0.0),
        (lambda: keras.optimizers.Adadelta(), 0.0),
    ],
)
def test_initial_values_and_the_slots_that_go_back_to_them(optimizer, start):
    model = make()
    optimizer = stepped(optimizer(), model)
    names = names_of(model)
    before = {name: array(v) for name, v in optimizer_state.named(optimizer, names).items()}
    fresh = optimizer_state.initial(optimizer, names, model)
    assert list(fresh) == list(before)
    assert fresh["0/iteration"] == 0
    kernel = model.get_layer("conv").kernel
    where = np.zeros(kernel.shape, bool)
    where[0] = True
    optimizer_state.reset_slots(optimizer, kernel, where, model)
    reset_to = []
    for name, variable in optimizer_state.named(optimizer, names).items():
        after = array(variable)
        if name.endswith("conv/kernel"):
            np.testing.assert_array_equal(after[0], fresh[name][0])
            np.testing.assert_array_equal(after[1], before[name][1])
            assert np.all(after[1] != fresh[name][1])
            reset_to.append(float(after[0, 0, 0]))
        else:
            np.testing.assert_array_equal(after, before[name])
    assert reset_to[0] == pytest.approx(start)


def test_slots_of_other_shapes_and_averages_stay():
    """Adafactor's belong to rows and columns; a moving average goes with the weight."""
    model = make()
    kernel = model.get_layer("fc").kernel
    for optimizer in (
        keras.optimizers.Adafactor(),
        keras.optimizers.SGD(use_ema=True),
    ):
        stepped(optimizer, model)
        before = [array(variable) for variable in optimizer.variables]
        optimizer_state.reset_slots(optimizer, kernel, np.ones(kernel.shape, bool), model)
        for value, variable in zip(before, optimizer.variables, strict=True):
            if variable.shape != kernel.shape or optimizer.use_ema:
                np.testing.assert_array_equal(array(variable), value)


def test_an_optimizer_that_does_not_train_the_kernel_is_left_alone():
    model = make()
    optimizer = stepped(keras.optimizers.Adam(), model)
    stranger = keras.Variable(np.ones((2, 2)))
    before = [array(variable) for variable in optimizer.variables]
    optimizer_state.reset_slots(optimizer, stranger, np.ones((2, 2), bool), model)
    for value, variable in zip(before, optimizer.variables, strict=True):
        np.testing.assert_array_equal(array(variable), value)


class Unconfigured(keras.optimizers.Adam):
    """Needs an argument that its configuration does not tell."""

    def __init__(self, speed):
        super().__init__(speed)

    def get_config(self):
        return {}


def test_an_optimizer_that_cannot_be_made_anew():
    model = make()
    optimizer = stepped(Unconfigured(0.1), model)
    with pytest.raises(ValueError, match=r"Unconfigured cannot be made anew.*`get_config\(\)`"):
        optimizer_state.initial(optimizer, names_of(model), model)
    kernel = keras_internals.variables_trained_by(optimizer)[0]
    with pytest.raises(ValueError, match="Unconfigured cannot be made anew"):
        optimizer_state.reset_slots(optimizer, kernel, np.ones(kernel.shape, bool), model)
