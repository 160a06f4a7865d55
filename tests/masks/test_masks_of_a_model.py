"""Which masks a model has: set by hand, on another model's weights, or a second time."""

import keras
import numpy as np
import pytest
from kernel_values import kernel_of

import keras_lottery as kl

SHAPES = {"fc1/kernel": (6, 8), "output/kernel": (8, 4)}


def rng_mask(shape):
    return np.random.default_rng(0).random(shape) < 0.5


@pytest.mark.parametrize("pruned", ["zero", "freeze"])
def test_weights_may_come_back(make_model, data, pruned):
    """Masks set by hand can revive; a revived weight trains on from where it was held."""
    model = make_model()
    lottery = kl.Lottery(model, kl.Recipe(hold_at=pruned))
    start = kernel_of(model)
    lottery.prune(0.5)
    lottery.set_masks({name: np.ones_like(mask) for name, mask in lottery.masks.items()})
    held = np.where(kernel_of(model) == 0, 0, start)
    np.testing.assert_array_equal(kernel_of(model), held)
    model.fit(*data, verbose=0)
    assert np.mean(kernel_of(model) != held) > 0.9
    assert np.max(np.abs(kernel_of(model) - held)) < 0.1


def test_a_second_lottery_is_refused(make_model):
    model = make_model()
    lottery = kl.Lottery(model, kl.Recipe(include="fc1"))
    assert kl.Lottery.on(model) is lottery
    with pytest.raises(ValueError, match=r"has masks already: use `Lottery.on\(model\)`"):
        kl.Lottery(model, kl.Recipe(include="output"))
    lottery.detach()
    assert kl.Lottery.on(model) is None
    other = kl.Lottery(model)
    with pytest.raises(ValueError, match="has masks already"):
        lottery.attach()
    assert kl.Lottery.on(model) is other
    lottery.detach()  # not attached: nothing happens
    assert kl.Lottery.on(model) is other


@pytest.mark.parametrize(
    "action",
    [
        lambda lottery: lottery.prune(0.5),
        lambda lottery: lottery.rewind(),
        lambda lottery: lottery.check(),
        lambda lottery: lottery.enforce(),
    ],
)
def test_after_detach_masks_cannot_be_used(make_model, action):
    lottery = kl.Lottery(make_model())
    lottery.detach()
    with pytest.raises(kl.MaskError, match=r"Nothing keeps the pruned weights of 'fc1/kernel'"):
        action(lottery)


def test_a_constraint_set_over_ours_is_found(make_model):
    model = make_model()
    lottery = kl.Lottery(model)
    own = keras.constraints.NonNeg()
    model.get_layer("output").kernel.constraint = own
    with pytest.raises(kl.MaskError, match="'output/kernel': its mask was detached, or its const"):
        lottery.check()
    lottery.attach()
    lottery.check()
    lottery.detach()
    assert model.get_layer("output").kernel.constraint is own


def test_wrong_masks(make_model):
    lottery = kl.Lottery(make_model())
    masks = lottery.masks
    lottery.set_masks({name: mask.tolist() for name, mask in masks.items()})
    for wrong, message in (
        ({}, r"must have exactly the kernels \['fc1/kernel', 'output/kernel'\], received \[\]"),
        ({**masks, "fc1/kernel": np.ones((6, 8))}, "'fc1/kernel' must be boolean .*float64"),
        ({**masks, "fc1/kernel": [[1, 0]]}, r"must be boolean .*received int64 of shape \(1, 2\)"),
        ({**masks, "fc1/kernel": np.ones((8, 6), bool)}, r"of shape \(6, 8\), .* \(8, 6\)"),
    ):
        with pytest.raises(ValueError, match=message):
            lottery.set_masks(wrong)
        with pytest.raises(ValueError, match=message):
            kl.Lottery(make_model(), masks=wrong)


@pytest.mark.parametrize("pruned", ["zero", "freeze"])
def test_masks_to_begin_with(make_model, pruned):
    model = make_model()
    start = kernel_of(model)
    masks = {name: rng_mask(shape) for name, shape in SHAPES.items()}
    lottery = kl.Lottery(model, kl.Recipe(hold_at=pruned), masks=masks)
    expected = start if pruned == "freeze" else start * masks["fc1/kernel"]
    np.testing.assert_array_equal(kernel_of(model), expected)
    assert lottery.alive_counts == {name: np.count_nonzero(mask) for name, mask in masks.items()}


def test_what_was_pruned_does_not_come_back_in_silence(make_model, data, tmp_path):
    model = make_model()
    kl.Lottery(model).prune(0.5)
    kl.strip(model).save(tmp_path / "sparse.keras")
    with pytest.warns(UserWarning, match=r"'fc1/kernel' \(24 of 48\), .*Lottery.from_zeros"):
        kl.Lottery(keras.models.load_model(tmp_path / "sparse.keras"))

    model = keras.models.load_model(tmp_path / "sparse.keras")
    kl.Lottery.from_zeros(model)
    model.fit(*data, verbose=0, callbacks=[kl.Prune(kl.schedules.constant(0.0))])
    assert np.mean(kernel_of(model) == 0) == 0.5
    with pytest.raises(ValueError, match="has masks already"):
        kl.Lottery.from_zeros(model)


def test_few_zeros_or_nothing_else_are_no_sign_of_pruning(make_model):
    model = make_model()
    kernel = kernel_of(model)
    kernel[0, :4] = 0  # 4 of 48
    model.get_layer("fc1").kernel.assign(kernel)
    model.get_layer("output").kernel.assign(np.zeros((8, 4)))
    kl.Lottery(model)  # a warning would be an error
