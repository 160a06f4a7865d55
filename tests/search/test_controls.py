"""The controls of a round: models of its sparsity that are no ticket."""

import keras
import numpy as np
import pytest
from sample_rounds import fit, kernels

import keras_lottery as kl


@pytest.fixture
def second_round(make_model, data):
    """The second round of a search, after its training."""
    search = kl.rounds(make_model, count=2, rate=0.5)
    fit(next(search), data)
    r = next(search)
    fit(r, data)
    return r


def test_reinit_has_the_masks_but_not_the_weights(second_round):
    control = second_round.control("reinit")
    lottery = kl.Lottery.on(control)
    for name, mask in second_round.ticket.masks.items():
        np.testing.assert_array_equal(lottery.masks[name], mask)
        alive = kernels(control)[name][mask]
        assert np.all(alive != second_round.ticket.values[name][mask])
    lottery.check()


def test_reinit_is_fresh_under_late_rewinding(make_model, data):
    """Biases, normalisation, slots and iterations of no training, also when it is set up again."""
    fresh = [keras.ops.convert_to_numpy(v) for v in make_model("adam").weights]
    search = kl.rounds(lambda: make_model("adam"), count=1, rate=0.5, rewind=kl.rewind.to_step(3))
    first = next(search)
    fit(first, data, callbacks=first.callbacks)
    r = next(search)
    assert int(r.model.optimizer.iterations) == 3
    for _ in range(2):
        control = r.control("reinit")
        assert int(control.optimizer.iterations) == 0
        slots = control.optimizer._momentums + control.optimizer._velocities
        assert not any(keras.ops.convert_to_numpy(slot).any() for slot in slots)
        for start, variable in zip(fresh, control.weights, strict=True):
            if variable.name != "kernel":
                np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), start)
        for name, mask in kl.Lottery.on(control).masks.items():
            np.testing.assert_array_equal(mask, r.ticket.masks[name])
        control.fit(*data, batch_size=12, verbose=0, callbacks=r.callbacks)


@pytest.mark.parametrize("kind", ["random_mask", "shuffle_layerwise"])
def test_controls_with_other_masks(second_round, kind):
    control = second_round.control(kind)
    lottery = kl.Lottery.on(control)
    assert lottery.alive_counts == second_round.alive_counts
    for name, mask in second_round.ticket.masks.items():
        assert np.any(lottery.masks[name] != mask)
        expected = second_round.ticket.values[name] * lottery.masks[name]
        np.testing.assert_array_equal(kernels(control)[name], expected)
    assert int(control.optimizer.iterations) == 0
    control.fit(np.ones((12, 6)), np.ones((12, 4)), verbose=0)
    lottery.check()


def test_controls_draw_the_same_whatever_was_drawn_before(make_model, data):
    """Each by its kind, round and seed; and all differ."""
    drawn = {}
    for kinds in (("reinit", "random_mask", "shuffle_layerwise"), ("shuffle_layerwise", "reinit")):
        search = kl.rounds(make_model, count=2, rate=0.5)
        for r in search:
            if r.index == 0:
                continue
            for kind in kinds:
                for seed in (1, 0):
                    now = kernels(r.control(kind, seed))["fc1/kernel"]
                    found = drawn.setdefault((kind, r.index, seed), now)
                    np.testing.assert_array_equal(now, found)
    arrays = list(drawn.values())
    assert len(arrays) == 12
    assert not any(np.array_equal(a, b) for i, a in enumerate(arrays) for b in arrays[i + 1 :])


@pytest.mark.parametrize("rewind", [kl.rewind.to_start(), kl.rewind.to_step(3)])
@pytest.mark.long
def test_controls_of_a_round_before(make_model, data, rewind):
    """Those of each round itself, also when the search has gone on."""
    rounds = []
    for r in kl.rounds(lambda: make_model("adam"), count=3, rate=0.5, rewind=rewind):
        fit(r, data, callbacks=r.callbacks)
        rounds.append(r)
    for r in rounds:
        for kind in ("reinit", "random_mask", "shuffle_layerwise"):
            control = r.control(kind)
            lottery = kl.Lottery.on(control)
            assert lottery.alive_counts == r.alive_counts
            if kind == "reinit":
                np.testing.assert_equal(lottery.masks, r.ticket.masks)
            else:
                np.testing.assert_equal(lottery.state.point.values, r.ticket.values)
                assert int(control.optimizer.iterations) == r.ticket.metadata["rewind_step"]


@pytest.mark.parametrize("kind", ["random_mask", "shuffle_layerwise"])
def test_controls_start_as_the_ticket_does(make_model, kind):
    """By the search's action on kept weights, where it acts on them."""
    for r in kl.rounds(
        make_model, recipe=kl.Recipe(restart_from="signed_constant"), count=1, rate=0.5
    ):
        control = r.control(kind)
        for name, kernel in kernels(control).items():
            start = r.ticket.values[name]
            constant = np.copysign(start.std(), start) if r.index else start
            np.testing.assert_array_equal(kernel, constant * kl.Lottery.on(control).masks[name])


def test_a_random_control_is_not_the_random_ticket():
    def make():
        model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30, name="fc1")])
        model.compile("sgd", "mse")
        return model

    masks = []
    for r in kl.rounds(make, recipe="random", count=2, rate=0.5):
        if r.index:
            masks.append(r.ticket.masks["fc1/kernel"])
            for kind in ("random_mask", "shuffle_layerwise"):
                masks.append(kl.Lottery.on(r.control(kind)).masks["fc1/kernel"])
    for i, one in enumerate(masks):
        assert not any(np.array_equal(one, other) for other in masks[i + 1 :])


def test_controls_of_frozen_weights(make_model, data):
    """Held at the ticket's initial values, also where an earlier control had others pruned."""
    for r in kl.rounds(make_model, recipe=kl.Recipe(hold_at="freeze"), count=2, rate=0.5):
        fit(r, data)
        point = kl.Lottery.on(r.model).state.point.values
        for kind in ("random_mask", "shuffle_layerwise"):
            control = r.control(kind)
            for name, kernel in kernels(control).items():
                np.testing.assert_array_equal(kernel, point[name])
            control.fit(*data, verbose=0)
            kl.Lottery.on(control).check()


def test_a_control_is_one_model(second_round):
    assert second_round.control("reinit", 0) is second_round.control("reinit", 1)
    with pytest.raises(ValueError, match="No control 'invert'; there are random_mask, reinit"):
        second_round.control("invert")
