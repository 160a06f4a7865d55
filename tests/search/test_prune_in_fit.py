"""`Prune` in `model.fit`: what it prunes when, and what it rewinds."""

import csv
import functools

import keras
import numpy as np
import pytest
from fitting import Do, fit, weights

import keras_lottery as kl
from keras_lottery import schedules
from keras_lottery.core import criteria

# The schedule.


def test_sparsity_of_every_epoch_is_logged(make_model, data, tmp_path):
    prune = kl.Prune(schedules.polynomial(0.75, begin=0, end=3, power=1))
    log = tmp_path / "log.csv"
    history = fit(make_model(), data, prune, keras.callbacks.CSVLogger(log), epochs=3)
    expected = [0.0, 0.25, 0.5]
    assert history["sparsity"] == expected
    with log.open() as file:
        assert [float(row["sparsity"]) for row in csv.DictReader(file)] == expected
    # Due at the end of the third epoch, and nothing is rewound: pruned after it was logged.
    assert history["sparsity_after"] == [0.25, 0.5, 0.75]
    assert prune.lottery.sparsity == 0.75


def test_the_history_of_fits_in_a_row(make_model, data):
    """A `History` of one's own, which grows; and epochs that end with a rewind."""
    history, model = keras.callbacks.History(), make_model()
    prune = kl.Prune(schedules.geometric(0.5), rewind=kl.rewind.to_start())
    for epoch in (0, 2):
        fit(model, data, prune, history, initial_epoch=epoch, epochs=epoch + 2)
    assert history.history["sparsity"] == [0, 0.5, 0.75, 0.875]
    assert history.history["sparsity_after"] == [0.5, 0.5, 0.875, 0.875]


def test_a_kernel_may_have_a_schedule_of_its_own(make_model, data):
    prune = kl.Prune(
        schedules.constant(0.75), overrides={"output": schedules.constant(0.25, begin=1)}
    )
    sparsities = []
    look = Do(lambda model, epoch: sparsities.append(prune.lottery.sparsities))
    fit(make_model(), data, prune, look, epochs=2)
    assert sparsities == [
        {"fc1/kernel": 0.75, "output/kernel": 0.0},
        {"fc1/kernel": 0.75, "output/kernel": 0.25},
    ]


@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_a_schedule_of_steps(make_model, data, steps_per_execution):
    """One of tfmot's kind, that asks once only: at a step inside an execution, too."""
    asked = []

    def schedule(step):
        asked.append(step)
        return (step in (4, 10), 0.25 if step < 10 else 0.5)

    sparsities = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            sparsities[int(self.model.optimizer.iterations)] = prune.lottery.sparsity

    prune = kl.Prune(schedule, unit="step")
    model = make_model(steps_per_execution=steps_per_execution)
    fit(model, data, prune, Look(), epochs=2)
    # The weights of step n + 1 were pruned after step n. Executions of three end at the epoch's.
    if steps_per_execution == 1:
        assert [sparsities[n] for n in (4, 5, 10, 11)] == [0, 0.25, 0.25, 0.5]
    else:
        assert sparsities == {3: 0, 6: 0, 7: 0.25, 10: 0.25, 13: 0.5, 14: 0.5}
    assert set(range(15)) <= set(asked)  # every step is asked about


def test_steps_of_a_generator_are_counted(make_model, data):
    x, y = data

    def batches():
        for start in range(0, 60, 12):
            yield x[start : start + 12], y[start : start + 12]

    class Endless(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return list(batches())[index]

    prune = kl.Prune(schedules.constant(0.5, begin=7), unit="step")
    history = make_model().fit(Endless(), epochs=2, verbose=0, callbacks=[prune])
    assert history.history["sparsity"] == [0, 0.5]


class StopAt(keras.callbacks.Callback):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == self.batch


@pytest.mark.parametrize("fit_with", [keras.Model.fit, functools.partial(kl.fit, chunk=2)])
def test_an_epoch_that_is_stopped_early_has_fewer_steps(make_model, data, fit_with):
    def train(begin):  # 4 of 7 steps are done
        prune = kl.Prune(schedules.constant(0.5, begin=begin), unit="step")
        fit_with(make_model(), *data, batch_size=12, verbose=0, callbacks=[StopAt(3), prune])
        return prune.lottery.sparsity

    assert train(begin=4) == 0.5
    with pytest.warns(UserWarning, match="after epoch 1 with a sparsity of 0; .* 0.5 at step 5"):
        assert train(begin=5) == 0


def test_an_epoch_after_which_training_is_stopped_is_whole(make_model, data):
    prune = kl.Prune(schedules.constant(0.5, begin=7), unit="step")
    end = Do(lambda model, epoch: setattr(model, "stop_training", True))
    fit(make_model(steps_per_execution=3), data, end, prune)
    assert prune.lottery.sparsity == 0.5


def test_next_event_is_where_something_changes(make_model, data):
    prune = kl.Prune(schedules.constant(0.5, begin=300), unit="step", rewind=kl.rewind.to_step(20))
    events = []

    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                events.extend(prune.next_event(step) for step in (0, 19, 20, 299, 300))

    with pytest.warns(UserWarning, match="step 300"), pytest.warns(UserWarning, match="ended"):
        fit(make_model(), data, prune, Ask(), epochs=1)
    # With nothing to come it asks to be asked again.
    assert events == [20, 20, 20 + 128, 300, 300 + 128]
    assert kl.Prune(schedules.constant(0.5)).unit == "epoch"


@pytest.mark.parametrize(
    "scope, granularity",
    [("layerwise", kl.granularity.blocks(2)), ("globally", None), ("erdos_renyi", None)],
)
def test_any_scope_and_granularity(make_model, data, scope, granularity):
    schedule = schedules.constant(0.5, begin=1)
    prune = kl.Prune(schedule, kl.Recipe("movement", scope=scope, granularity=granularity))
    assert fit(make_model(), data, prune, epochs=2)["sparsity"] == [0, 0.5]


def test_least_change_looks_back_to_the_last_pruning(make_model, data):
    """Per-epoch pruning: `previous` are the weights of one epoch before."""
    seen = []

    def criterion(kernel):
        seen.append((kernel.name, kernel.previous, kernel.current))
        return criteria.least_change(kernel)

    prune = kl.Prune(schedules.geometric(0.2), criterion)
    fit(make_model(), data, prune, epochs=2)
    fc1 = [(previous, current) for name, previous, current in seen if name == "fc1/kernel"]
    assert len(fc1) == 2  # before the second epoch, and at the end
    np.testing.assert_array_equal(fc1[0][0], prune.lottery.state.point.values["fc1/kernel"])
    pruned = fc1[1][0] == 0
    assert pruned.sum() == 10  # round(0.2 * 48)
    np.testing.assert_array_equal(fc1[1][0][~pruned], fc1[0][1][~pruned])


TFMOT = """
import keras, numpy as np, keras_lottery as kl
model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(10)])
model.compile("sgd", "mse")
import os
before = os.environ.get("TF_USE_LEGACY_KERAS")
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule as tfmot
schedule = tfmot.PolynomialDecay(0.0, 0.5, begin_step=2, end_step=8, frequency=3)
prune = kl.Prune(schedule, unit="step")
history = model.fit(np.ones((20, 6)), np.ones((20, 10)), batch_size=4, epochs=2, verbose=0,
                    callbacks=[prune])
print(history.history["sparsity"], prune.lottery.sparsity)
"""


@pytest.mark.long
def test_a_schedule_of_tfmot(run_python):
    """As it is: cubic, every third step from the second, to the eighth."""
    pytest.importorskip("tensorflow_model_optimization", exc_type=ImportError)
    assert run_python(TFMOT).splitlines()[-1] == "[0.0, 0.5] 0.5"


# Rewinding. (To a step and to an epoch: tests/backends/test_masks_and_rewinds.py.)


def schedule_of_rates():
    return keras.optimizers.SGD(
        keras.optimizers.schedules.PiecewiseConstantDecay([6, 13], [0.1, 0.01, 0.001]),
        momentum=0.9,
    )


def test_rewinding_to_the_start_repeats_the_schedule(make_model, data):
    """Prune, rewind everything; the next epoch equals the first of a fresh masked fit."""
    model = make_model(schedule_of_rates())
    rates, prune = [], kl.Prune(schedules.constant(0.5, begin=2), rewind=kl.rewind.to_start())
    record = Do(lambda model, epoch: rates.append(float(model.optimizer.learning_rate)))
    start = weights(model)
    fit(model, data, prune, record, epochs=3)
    np.testing.assert_allclose(rates, [0.01, 0.001, 0.01], rtol=1e-6)
    assert int(model.optimizer.iterations) == 7

    again = make_model(schedule_of_rates())
    for variable, value in zip(again.variables, start, strict=True):
        variable.assign(value)
    kl.Lottery(again).set_masks(prune.lottery.masks)
    fit(again, data, epochs=1)
    for one, other in zip(weights(model), weights(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_learning_rate_rewinding_keeps_the_weights(make_model, data):
    model, found = make_model(schedule_of_rates()), {}

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found["trained"] = weights(self.model)

        def on_epoch_begin(self, epoch, logs=None):
            found["begin"] = weights(self.model)
            found["momenta"] = [v.numpy() for v in self.model.optimizer.momentums]

    prune = kl.Prune(schedules.constant(0.5, begin=2), rewind=kl.rewind.learning_rate())
    fit(model, data, prune, Look(), epochs=3)
    assert int(model.optimizer.iterations) == 7
    assert prune.lottery.sparsity == 0.5

    model = make_model(schedule_of_rates())
    prune = kl.Prune(schedules.constant(0.5, begin=1), rewind=kl.rewind.learning_rate())

    class Compare(Look):
        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch)
            if epoch == 1:
                masks = iter(prune.lottery.masks.values())
                for before, now in zip(found["trained"], found["begin"], strict=True):
                    mask = next(masks) if before.ndim == 2 else True
                    np.testing.assert_array_equal(now, before * mask)
                assert not any(momentum.any() for momentum in found["momenta"])

    fit(model, data, prune, Compare(), epochs=2)


def test_kept_weights_may_become_something_else(make_model, data):
    """Zhou et al.'s second variant: one rule for kept and pruned weights."""
    seen = {}
    prune = kl.Prune(
        schedules.constant(0.5, begin=1),
        kl.Recipe(restart_from="rewind_unless_shrinking", hold_at="freeze_unless_shrinking"),
        rewind=kl.rewind.to_start(),
    )

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen[epoch] = self.model.get_layer("fc1").kernel.numpy()

        def on_epoch_end(self, epoch, logs=None):
            seen["trained"] = seen.get("trained", self.model.get_layer("fc1").kernel.numpy())

    fit(make_model(), data, prune, Look(), epochs=2)
    start, trained, second = seen[0], seen["trained"], seen[1]
    shrinking = np.abs(start) > np.abs(trained)
    assert 0 < shrinking.sum() < shrinking.size
    np.testing.assert_array_equal(second, np.where(shrinking, 0, start))
    mask = prune.lottery.masks["fc1/kernel"]
    now = prune.lottery._kernels["fc1/kernel"].numpy()
    np.testing.assert_array_equal(now[~mask], second[~mask])
    assert np.all(now[mask] != second[mask])
