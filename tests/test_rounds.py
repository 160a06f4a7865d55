"""Rounds, their controls, and taking them up again."""

import keras
import numpy as np
import pytest

import keras_lottery as kl
from keras_lottery.core import kept, pruned


def kernels(model):
    """The kernels by name, as arrays."""
    return {
        name: keras.ops.convert_to_numpy(kernel)
        for name, kernel in kl.Lottery.of(model)._kernels.items()
    }


def fit(r, data, **arguments):
    return r.model.fit(*data, batch_size=12, shuffle=False, verbose=0, **arguments).history


def lenet():
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(300, name="fc1"),
            keras.layers.Dense(100, name="fc2"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    model.compile("sgd", "mse")
    return model


def test_counts_are_those_of_the_paper():
    """n <- n - round(rate * n); nothing is trained, so this is arithmetic only."""
    before, counts = None, {}
    for r in kl.rounds(lenet, count=15, rate=0.2, overrides={"output": 0.1}):
        counts[r.index] = list(r.kept.values())
        for name, mask in r.ticket.masks.items():
            assert before is None or not np.any(mask & ~before[name])  # masks only shrink
        before = r.ticket.masks
    assert counts[0] == [235200, 30000, 1000]
    assert counts[7] == [49325, 6291, 478]
    assert counts[15] == [8275, 1056, 206]
    assert r.remaining == pytest.approx(9537 / 266200)


def test_round_0_is_an_ordinary_fit(make_model, data):
    keras.utils.set_random_seed(0)
    first = next(kl.rounds(lambda: make_model("adam"), count=1))
    history = fit(first, data, epochs=2)
    keras.utils.set_random_seed(0)
    plain = make_model("adam")
    expected = plain.fit(*data, batch_size=12, shuffle=False, epochs=2, verbose=0).history
    assert history == expected
    for one, other in zip(first.model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_round_starts_anew(make_model, data):
    """Kernels masked; biases, normalisation, optimizer slots, iteration and learning rate back."""
    dense = None
    for r in kl.rounds(lambda: make_model(keras.optimizers.Adam(0.01)), count=2, rate=0.5):
        values = [keras.ops.convert_to_numpy(v) for v in r.model.variables]
        dense = dense or values
        masks = iter(r.ticket.masks.values())
        for start, now in zip(dense, values, strict=True):
            expected = start * next(masks) if start.ndim == 2 else start
            np.testing.assert_array_equal(now, expected)
        assert int(r.model.optimizer.iterations) == 0
        assert float(r.model.optimizer.learning_rate) == pytest.approx(0.01)
        slots = r.model.optimizer._momentums + r.model.optimizer._velocities
        assert not any(keras.ops.convert_to_numpy(slot).any() for slot in slots)
        fit(r, data)
        r.model.optimizer.learning_rate = 0.5


def test_a_round_trains_like_a_fresh_model_with_the_ticket(make_model, data):
    search = kl.rounds(lambda: make_model("adam"), count=1, rate=0.5)
    fit(next(search), data)
    second = next(search)
    fresh = make_model("adam")
    second.ticket.apply(fresh)
    history = fit(second, data)
    assert history == fresh.fit(*data, batch_size=12, shuffle=False, verbose=0).history
    for one, other in zip(second.model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_late_rewinding(make_model, data):
    """To the end of an epoch; later rounds start there, in the weights and in the epoch."""
    start = {}

    class Remember(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            start.setdefault(epoch, self.model.get_weights())

    rewind = kl.rewind.to_epoch(1)
    for r in kl.rounds(lambda: make_model("adam"), count=1, rate=0.5, rewind=rewind):
        assert r.initial_epoch == (r.index > 0)
        if r.index:
            assert int(r.model.optimizer.iterations) == 7
            np.testing.assert_array_equal(
                kernels(r.model)["fc1/kernel"], start[0][0] * r.ticket.masks["fc1/kernel"]
            )
            assert r.ticket.metadata["rewind_step"] == 7
        history = fit(
            r, data, epochs=3, initial_epoch=r.initial_epoch, callbacks=[*r.callbacks, Remember()]
        )
        assert len(history["sparsity"]) == 3 - r.index


def test_late_rewinding_needs_the_callbacks(make_model, data):
    search = kl.rounds(make_model, count=1, rewind=kl.rewind.to_step(3))
    fit(next(search), data)
    with pytest.raises(ValueError, match=r"Round 0 ended before the rewind point, step 3"):
        next(search)


def test_fine_tuning_and_learning_rate_rewinding_keep_the_weights(make_model, data):
    for rewind, iterations in ((None, 7), (kl.rewind.learning_rate(), 0)):
        search = kl.rounds(lambda: make_model("adam"), count=1, rate=0.5, rewind=rewind)
        first = next(search)
        fit(first, data)
        trained = kernels(first.model)
        second = next(search)
        assert int(second.model.optimizer.iterations) == iterations
        for name, kernel in kernels(second.model).items():
            np.testing.assert_array_equal(kernel, trained[name] * second.ticket.masks[name])


def test_training_that_breaks_the_masks_is_found(make_model, data):
    search = kl.rounds(make_model, count=2, rate=0.5)
    dense = next(search).model.get_weights()
    model = next(search).model
    model.set_weights(dense)
    with pytest.raises(kl.MaskError, match="fc1/kernel"):
        next(search)


@pytest.mark.parametrize("action", ["freeze", "freeze_unless_shrinking"])
@pytest.mark.parametrize("start", ["rewind", "rewind_unless_shrinking"])
def test_what_kept_and_pruned_weights_become(make_model, data, start, action):
    """The rule is applied once to every weight: at its pruning, or at each rewind."""
    trained = held = before = None
    for r in kl.rounds(
        lambda: make_model(keras.optimizers.SGD(0.5)), 2, 0.5, kept=start, pruned=action
    ):
        now, initial, masks = kernels(r.model), r.ticket.values, r.ticket.masks
        if trained is not None:
            point = kl.Lottery.of(r.model).state.point.values
            for name, mask in masks.items():
                record = kl.core.kernel.Kernel.of(trained[name], point[name])
                alive = getattr(kept, start)(record)
                fresh = getattr(pruned, action)(record)
                held[name] = np.where(before[name] & ~mask, fresh, held[name])
                np.testing.assert_array_equal(now[name], np.where(mask, alive, held[name]))
                np.testing.assert_array_equal(initial[name][~mask], held[name][~mask])
        else:
            held = {name: np.zeros_like(value) for name, value in now.items()}
        before = masks
        fit(r, data)
        trained = kernels(r.model)
        assert all(np.all(trained[n][~m] == held[n][~m]) for n, m in masks.items())


# Controls.


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
    lottery = kl.Lottery.of(control)
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
        for name, mask in kl.Lottery.of(control).masks.items():
            np.testing.assert_array_equal(mask, r.ticket.masks[name])
        control.fit(*data, batch_size=12, verbose=0, callbacks=r.callbacks)


@pytest.mark.parametrize("kind", ["random_mask", "shuffle_layerwise"])
def test_controls_with_other_masks(second_round, kind):
    control = second_round.control(kind)
    lottery = kl.Lottery.of(control)
    assert lottery.remaining == second_round.kept
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
def test_controls_of_a_round_before(make_model, data, rewind):
    """Those of each round itself, also when the search has gone on."""
    rounds = []
    for r in kl.rounds(lambda: make_model("adam"), count=3, rate=0.5, rewind=rewind):
        fit(r, data, callbacks=r.callbacks)
        rounds.append(r)
    for r in rounds:
        for kind in ("reinit", "random_mask", "shuffle_layerwise"):
            control = r.control(kind)
            lottery = kl.Lottery.of(control)
            assert lottery.remaining == r.kept
            if kind == "reinit":
                np.testing.assert_equal(lottery.masks, r.ticket.masks)
            else:
                np.testing.assert_equal(lottery.state.point.values, r.ticket.values)
                assert int(control.optimizer.iterations) == r.ticket.metadata["rewind_step"]


@pytest.mark.parametrize("kind", ["random_mask", "shuffle_layerwise"])
def test_controls_start_as_the_ticket_does(make_model, kind):
    """By the search's action on kept weights, where it acts on them."""
    for r in kl.rounds(make_model, count=1, rate=0.5, kept="signed_constant"):
        control = r.control(kind)
        for name, kernel in kernels(control).items():
            start = r.ticket.values[name]
            constant = np.copysign(start.std(), start) if r.index else start
            np.testing.assert_array_equal(kernel, constant * kl.Lottery.of(control).masks[name])


def test_a_random_control_is_not_the_random_ticket():
    def make():
        model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30, name="fc1")])
        model.compile("sgd", "mse")
        return model

    masks = []
    for r in kl.rounds(make, count=2, rate=0.5, criterion="random"):
        if r.index:
            masks.append(r.ticket.masks["fc1/kernel"])
            for kind in ("random_mask", "shuffle_layerwise"):
                masks.append(kl.Lottery.of(r.control(kind)).masks["fc1/kernel"])
    for i, one in enumerate(masks):
        assert not any(np.array_equal(one, other) for other in masks[i + 1 :])


def test_controls_of_frozen_weights(make_model, data):
    """Held at the ticket's initial values, also where an earlier control had others pruned."""
    for r in kl.rounds(make_model, count=2, rate=0.5, pruned="freeze"):
        fit(r, data)
        point = kl.Lottery.of(r.model).state.point.values
        for kind in ("random_mask", "shuffle_layerwise"):
            control = r.control(kind)
            for name, kernel in kernels(control).items():
                np.testing.assert_array_equal(kernel, point[name])
            control.fit(*data, verbose=0)
            kl.Lottery.of(control).check()


def test_a_control_is_one_model(second_round):
    assert second_round.control("reinit", 0) is second_round.control("reinit", 1)
    with pytest.raises(ValueError, match="No control 'invert'; there are reinit, random_mask"):
        second_round.control("invert")


# Taking up a search.


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"criterion": "random", "kept": "reinit"},
        {"criterion": "movement", "scope": "globally", "pruned": "freeze_unless_shrinking"},
    ],
)
def test_start_goes_on_as_the_search_did(data, tmp_path, settings):
    def make():
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4)]
        )
        model.compile("adam", "mse")
        return model

    def run(**more):
        for r in kl.rounds(make, count=3, rate=0.3, seed=5, **settings, **more):
            history = fit(r, data)
            yield r.index, r.ticket, list(r.kept.values()), history, r.model.get_weights()

    whole = list(run())
    whole[1][1].save(tmp_path / "1.ticket")
    rest = list(run(start=kl.Ticket.load(tmp_path / "1.ticket")))
    assert [index for index, *_ in rest] == [1, 2, 3]
    for (_, _, *expected, weights), (_, _, *found, other) in zip(whole[1:], rest, strict=True):
        assert found == expected
        for one, two in zip(weights, other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_wrong_arguments(make_model, data):
    ticket = next(kl.rounds(make_model, count=1)).ticket
    for settings, message in (
        ({"count": -1}, "`count` must be an integer of 0 or more, received -1"),
        ({"count": 1, "rewind": 3}, "`rewind` must be None or a policy"),
        ({"count": 1, "rewind": None, "kept": "reinit"}, "`kept`='reinit' needs a `rewind`"),
        ({"count": 1, "criterion": "best"}, "No 'best' in criteria"),
        ({"count": 1, "start": ticket, "rewind": None}, "`start` needs `rewind=to_start"),
        (
            {"count": 1, "start": kl.Ticket(ticket.masks, ticket.values)},
            "`start` must be the ticket of a round up to `count`=1, received one of round None",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            kl.rounds(make_model, **settings)  # at the call, not in the loop
    search = kl.rounds(make_model, count=1, overrides={"fc9": 0.1})
    next(search)
    with pytest.raises(ValueError, match="Nothing matched: `overrides` has the pattern 'fc9'"):
        next(search)
