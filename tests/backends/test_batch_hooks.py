"""Pruning between batches where Keras does not know, or is told wrongly, how many come; and by a
callback of one's own, while JAX keeps the variables outside the model."""

import keras
import numpy as np
import pytest
from watch import assert_held

import keras_lottery as kl
from keras_lottery import schedules

pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")


def generated(data):
    """Seven batches, of which Keras knows only when they are over."""
    x, y = data
    for start in range(0, 84, 12):
        yield x[start : start + 12], y[start : start + 12]


def arrays(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def trained(model, batches, prune, **arguments):
    history = model.fit(batches, shuffle=False, verbose=0, callbacks=[prune], **arguments)
    assert_held(prune.lottery, prune.lottery.state.held_values or None)
    return history.history, arrays(model.variables)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rewind": kl.rewind.to_start()},
        {
            "rewind": kl.rewind.to_step(2),
            "recipe": kl.Recipe(restart_from="reshuffle", hold_at="freeze"),
        },
    ],
)
@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.long)])
def test_a_pruning_for_a_batch_that_never_comes(make_model, data, settings, optimizer):
    """It stands, and training is that over batches of known number."""
    if settings and keras.backend.backend() == "torch":
        pytest.skip("Keras on torch announces no batch that never comes")

    def prune():
        return kl.Prune(schedules.constant(0.5, begin=7), unit="step", **settings)

    with_generator, without = make_model(optimizer), make_model(optimizer)
    if settings:  # a rewind is for what comes after
        said = pytest.warns(UserWarning, match="asks for a sparsity of 0.5 at step 7")
        with said, pytest.warns(UserWarning, match="Training ended"):
            found, _ = trained(without, data[0], prune(), y=data[1], batch_size=12)
        assert found["sparsity_after"] == [0]
    found, state = trained(with_generator, generated(data), prune())
    assert (found["sparsity"], found["sparsity_after"]) == ([0], [0.5])
    if not settings:
        _, expected = trained(without, data[0], prune(), y=data[1], batch_size=12)
        for one, other in zip(state, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
    elif settings["rewind"].at == 0:
        assert int(with_generator.optimizer.iterations) == 0


@pytest.mark.parametrize("begin", [3, 7])
def test_more_batches_announced_than_come(make_model, data, begin):
    model = make_model()
    prune = kl.Prune(schedules.constant(0.5, begin=begin), unit="step")
    found, _ = trained(model, generated(data), prune, steps_per_epoch=10)
    assert found["sparsity"] == [0.5 if begin < 7 else 0]
    assert prune.lottery.sparsity == 0.5


def test_what_was_due_at_a_batch_that_never_came_is_said(make_model, data):
    prune = kl.Prune(schedules.constant(0.5, begin=9), unit="step")
    with pytest.warns(UserWarning, match="with a sparsity of 0; .* asks for 0.5 at step 9"):
        trained(make_model(), generated(data), prune, steps_per_epoch=10)


def test_an_epoch_without_batches(make_model, data):
    """A generator is over after one epoch; Keras begins the next all the same."""
    model = make_model()
    prune = kl.Prune(schedules.constant(0.5, begin=1))
    trained(model, generated(data), prune, epochs=2, steps_per_epoch=7)
    assert prune.lottery.sparsity == 0.5


class Act(keras.callbacks.Callback):
    """Calls a function in a batch hook, without asking for its model."""

    def __init__(self, hook, action):
        super().__init__()
        setattr(self, hook, lambda batch, logs=None: action() if batch == 3 else None)


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_a_callback_of_ones_own_prunes(make_model, data, hook):
    model = make_model("adam")
    lottery = kl.Lottery(model)
    start = arrays(model.variables)

    def act():
        lottery.prune(rate=0.25)
        lottery.check()
        lottery.prune(0.5, recipe=kl.Recipe("movement", scope="globally"))
        assert lottery.state.previous["fc1/kernel"].any()

    model.fit(*data, batch_size=12, verbose=0, callbacks=[Act(hook, act)])
    assert lottery.sparsity == 0.5
    assert_held(lottery)
    assert any(np.any(a != b) for a, b in zip(start, arrays(model.variables), strict=True))


def test_a_callback_of_ones_own_rewinds(make_model, data):
    model = make_model("adam")
    lottery = kl.Lottery(model)

    def act():
        lottery.save_rewind_point(step=4)
        lottery.prune(0.5)
        lottery.rewind()

    model.fit(*data, batch_size=12, epochs=2, verbose=0, callbacks=[Act("on_train_batch_end", act)])
    assert lottery.state.point.step == 4
    assert lottery.state.point.values["fc1/kernel"].any()
    assert_held(lottery)
    assert lottery.sparsity == 0.5


# Keras on torch takes one step at a time.
EXECUTIONS = [1] if keras.backend.backend() == "torch" else [1, 3]


@pytest.mark.parametrize("steps_per_execution", EXECUTIONS)
def test_steps_of_unknown_number_are_counted(make_model, data, steps_per_execution):
    """The last execution of an epoch is a shorter one, of which only the optimizer knows."""
    model = make_model(steps_per_execution=steps_per_execution)
    prune = kl.Prune(schedules.constant(0.5, begin=7), unit="step")
    trained(model, generated(data), prune)
    assert prune.lottery.sparsity == 0.5
