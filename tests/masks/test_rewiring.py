"""Rewiring: weights that are dropped and grown, in equal numbers."""

import keras
import numpy as np
import pytest
from kernel_values import kernel_of

import keras_lottery as kl


def test_a_rewired_kernel_keeps_its_counts_and_grows_from_zero(make_model, data):
    model = make_model("adam")
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    model.fit(*data, epochs=2, verbose=0)
    before, trained = lottery.masks, kernel_of(model)
    lottery.rewire(0.4)
    after = lottery.masks
    assert lottery.alive_counts == {"fc1/kernel": 24, "output/kernel": 16}
    grown = after["fc1/kernel"] & ~before["fc1/kernel"]
    stayed = after["fc1/kernel"] & before["fc1/kernel"]
    assert 0 < np.count_nonzero(grown) <= 10  # round(0.4 * 24) were dropped
    np.testing.assert_array_equal(kernel_of(model)[grown], 0)
    np.testing.assert_array_equal(kernel_of(model)[stayed], trained[stayed])
    slots = [v for v in model.optimizer.variables if "fc1_kernel" in v.path and v.shape == (6, 8)]
    assert len(slots) >= 2
    for slot in slots:
        values = keras.ops.convert_to_numpy(slot)
        if "mask" not in slot.path:
            np.testing.assert_array_equal(values[grown], 0)
            assert np.all(values[stayed] != 0)
    model.fit(*data, verbose=0)
    lottery.check()
    assert np.all(kernel_of(model)[grown] != 0)


def test_a_rewiring_draws_anew_each_time_and_the_same_in_each_run(make_model):
    def masks(seed):
        lottery = kl.Lottery(make_model(), seed=seed)
        lottery.prune(0.5)
        found = []
        for _ in range(3):
            lottery.rewire(0.5)
            found.append(lottery.masks["fc1/kernel"].tobytes())
        return found

    assert masks(1) == masks(1) != masks(2)
    assert len(set(masks(1))) == 3


@pytest.mark.parametrize(
    "recipe, settings, message",
    [
        (kl.Recipe(), {"fraction": -1}, "is -1"),
        (kl.Recipe(scope="globally"), {"fraction": 0.5}, "scope='globally' for 'fc1/kernel': w"),
        (kl.Recipe(hold_at="freeze"), {"fraction": 0.5}, "hold_at='freeze' for 'fc1/kernel'"),
        (
            kl.Recipe(otherwise={"fc1": kl.Recipe(granularity=kl.granularity.n_of_m(1, 2))}),
            {"fraction": 0.5},
            r"n_of_m\(1, 2\) cannot grow what was pruned",
        ),
        (kl.Recipe(), {"fraction": 0.5, "grow": "gradient"}, "'gradient' measures the model: give"),
        (kl.Recipe(), {"fraction": 0.5, "grow": "highest"}, "No 'highest' in criteria or scorers"),
    ],
)
def test_wrong_rewirings_change_nothing(make_model, recipe, settings, message):
    lottery = kl.Lottery(make_model(), recipe)
    lottery.prune(0.5)
    before = lottery.masks
    with pytest.raises(ValueError, match=message):
        lottery.rewire(**settings)
    for name, mask in lottery.masks.items():
        np.testing.assert_array_equal(mask, before[name])
