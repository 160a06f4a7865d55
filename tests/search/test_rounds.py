"""Rounds, and taking them up again."""

import functools

import keras
import numpy as np
import pytest
from sample_rounds import fit, kernels

import keras_lottery as kl
from keras_lottery.core import hold_at, restart_from


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
        counts[r.index] = list(r.alive_counts.values())
        for name, mask in r.ticket.masks.items():
            assert before is None or not np.any(mask & ~before[name])  # masks only shrink
        before = r.ticket.masks
    assert counts[0] == [235200, 30000, 1000]
    assert counts[7] == [49325, 6291, 478]
    assert counts[15] == [8275, 1056, 206]
    assert r.remaining == pytest.approx(9537 / 266200)


@pytest.mark.long
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


def test_the_first_pruning_looks_back_at_the_rewind_point(make_model, data):
    seen = []

    def criterion(kernel):
        seen.append(kernel)
        return np.abs(kernel.current)

    for r in kl.rounds(make_model, recipe=criterion, count=1, rewind=kl.rewind.to_step(3)):
        fit(r, data, callbacks=r.callbacks)
    for kernel in seen:
        np.testing.assert_array_equal(kernel.previous, r.ticket.values[kernel.name])


@pytest.mark.long
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
        lambda: make_model(keras.optimizers.SGD(0.5)),
        2,
        0.5,
        kl.Recipe(restart_from=start, hold_at=action),
    ):
        now, initial, masks = kernels(r.model), r.ticket.values, r.ticket.masks
        if trained is not None:
            point = kl.Lottery.on(r.model).state.point.values
            for name, mask in masks.items():
                record = kl.core.kernel.Kernel.of(trained[name], point[name])
                alive = getattr(restart_from, start)(record)
                fresh = getattr(hold_at, action)(record)
                held[name] = np.where(before[name] & ~mask, fresh, held[name])
                np.testing.assert_array_equal(now[name], np.where(mask, alive, held[name]))
                np.testing.assert_array_equal(initial[name][~mask], held[name][~mask])
        else:
            held = {name: np.zeros_like(value) for name, value in now.items()}
        before = masks
        fit(r, data)
        trained = kernels(r.model)
        assert all(np.all(trained[n][~m] == held[n][~m]) for n, m in masks.items())


# Taking up a search.


@pytest.mark.parametrize(
    "first, settings",
    [
        (1, {}),
        (1, {"recipe": kl.Recipe("random", restart_from="reinit")}),
        (1, {"recipe": kl.Recipe("movement", scope="globally", hold_at="freeze_unless_shrinking")}),
        (
            0,
            {"recipe": kl.Recipe(restart_from="signed_constant")},
        ),  # which acts on nothing in round 0
    ],
)
def test_start_goes_on_as_the_search_did(data, tmp_path, first, settings):
    def make():
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4)]
        )
        model.compile("adam", "mse")
        return model

    def run(**more):
        for r in kl.rounds(make, count=3, rate=0.3, seed=5, **settings, **more):
            history = fit(r, data)
            yield r.index, r.ticket, list(r.alive_counts.values()), history, r.model.get_weights()

    whole = list(run())
    whole[first][1].save(tmp_path / "a.ticket")
    rest = list(run(start=kl.Ticket.load(tmp_path / "a.ticket")))
    assert [index for index, *_ in rest] == [0, 1, 2, 3][first:]
    for (_, _, *expected, weights), (_, _, *found, other) in zip(whole[first:], rest, strict=True):
        assert found == expected
        for one, two in zip(weights, other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_ticket_tells_how_it_was_searched_for(make_model):
    recipe = kl.Recipe(restart_from="reinit", granularity=kl.granularity.blocks(2))
    amounts = {"rate": 0.3, "overrides": {"output": 0.1}}
    ticket = next(kl.rounds(make_model, 1, recipe=recipe, **amounts)).ticket
    assert kl.Recipe.from_json(ticket.metadata["recipe"]) == recipe
    assert ticket.metadata["search"] == {
        "door": "rounds",
        **amounts,
        "rewind": "everything to step 0",
        "data": None,
    }


@pytest.mark.parametrize(
    "other, found, value",
    [
        (
            {"recipe": kl.Recipe(restart_from="reinit")},
            "restart_from='rewind'",
            "restart_from='reinit'",
        ),
        ({"rate": 0.5}, "rate=0.2", "rate=0.5"),
        ({"overrides": {"output": 0.1}}, "overrides={}", "overrides={'output': 0.1}"),
        (
            {"recipe": kl.Recipe(granularity=kl.granularity.units())},
            r"granularity=weights\(\)",
            r"granularity=units\(\)",
        ),
        ({"recipe": "random"}, "criterion='large_final'", "criterion='random'"),
        ({"recipe": kl.Recipe(scope="globally")}, "scope='layerwise'", "scope='globally'"),
        ({"recipe": kl.Recipe(hold_at="freeze")}, "hold_at='zero'", "hold_at='freeze'"),
        ({"seed": 1}, "seed=0", "seed=1"),
    ],
)
def test_start_is_of_the_same_search(make_model, other, found, value):
    ticket = next(kl.rounds(make_model, count=1)).ticket
    with pytest.raises(ValueError, match=f"of a search with {found}; this one has {value}"):
        kl.rounds(make_model, count=1, start=ticket, **other)


def test_start_may_know_less(make_model):
    """As the tickets of before these were recorded."""
    ticket = next(kl.rounds(make_model, count=1)).ticket
    older = kl.Ticket(ticket.masks, ticket.values, {"rounds": 0, "criterion": None})
    with pytest.warns(UserWarning, match="`start` is a ticket of version 1"):
        search = kl.rounds(make_model, count=1, rate=0.5, seed=3, start=older)
    assert next(search).index == 0


def test_start_is_no_late_ticket(make_model):
    ticket = next(kl.rounds(make_model, count=1)).ticket
    late = kl.Ticket(ticket.masks, ticket.values, {**ticket.metadata, "rewind_step": 3})
    with pytest.raises(ValueError, match="with rewind_step=3; this one has rewind_step=0"):
        kl.rounds(make_model, count=1, start=late)


def test_wrong_arguments(make_model, data):
    ticket = next(kl.rounds(make_model, count=1)).ticket
    for settings, message in (
        ({"count": -1}, "`count` must be an integer of 0 or more, received -1"),
        ({"count": 1, "rewind": 3}, "`rewind` must be None or a policy"),
        (
            {"count": 1, "rewind": None, "recipe": kl.Recipe(restart_from="reinit")},
            "`restart_from`='reinit' needs a `rewind`",
        ),
        ({"count": 1, "recipe": "best"}, "No 'best' in criteria or scorers"),
        ({"count": 1, "recipe": 3}, "`recipe` is 3; pass a keras_lottery.Recipe, or a criterion"),
        ({"count": 1, "recipe": "snip"}, "The criterion 'snip' measures the model: give `data`"),
        ({"count": 1, "data": ([], [])}, "`data` is given, but no criterion looks at it"),
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


def test_the_callbacks_take_the_masks_as_they_were_made(make_model, data):
    recipe = kl.Recipe(exclude="output", hold_at="freeze")
    for r in kl.rounds(make_model, 1, 0.5, recipe):
        fit(r, data)
    assert r.alive_counts == {"fc1/kernel": 24}


def test_functions_need_no_name(make_model):
    def size(power, kernel):
        return np.abs(kernel.current) ** power

    criterion = functools.partial(size, 2)
    *_, last = kl.rounds(make_model, recipe=criterion, count=1)
    assert last.ticket.metadata["recipe"]["criterion"] == {"function": repr(criterion)}
