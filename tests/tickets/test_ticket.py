"""The ticket record: what it holds, on a model and beside other tickets."""

import keras
import ml_dtypes
import numpy as np
import pytest
from sample_tickets import assert_same, encoded, model_of, ticket_of

from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.tickets import file as ticket_file
from keras_lottery.tickets.ticket import Ticket, TicketError

# The record.


@pytest.mark.parametrize(
    "masks, problem",
    [
        ({}, "selects nothing"),
        ({"k": np.ones((2, 2))}, r"'k' has dtype float64; masks are bool"),
        ({"other": np.ones((2, 2), bool)}, "a mask for 'other', but no value"),
        ({"k": np.ones((2, 3), bool)}, r"'k' has shape \(2, 3\), its value \(2, 2\)"),
    ],
)
def test_an_inconsistent_record_is_refused(masks, problem):
    with pytest.raises(TicketError, match=problem):
        Ticket(masks, {"k": np.zeros((2, 2), "float32")})


def test_the_ticket_of_a_lottery():
    lottery = Lottery(model_of(), seed=5)
    lottery.prune(0.5)
    ticket = Ticket.of(lottery, rounds=1, history=[{"accuracy": 0.5}])
    assert ticket.sparsity == lottery.sparsity == 0.5
    assert list(ticket.values)[:2] == ["fc1/kernel", "fc1/bias"]
    metadata = ticket.metadata
    assert {name: metadata[name] for name in metadata if name != "versions"} == {
        "recipe": Recipe().to_json(),
        "search": {
            "door": "Lottery.prune",
            "sparsity": 0.5,
            "rate": None,
            "overrides": {},
            "data": None,
        },
        "rounds": 1,
        "events": 1,
        "steps": None,
        "rewind_step": 0,
        "seed": 5,
        "sparsity": 0.5,
        "hold_at": "zero",
        "history": [{"accuracy": 0.5}],
    }
    assert metadata["versions"]["keras"] == keras.__version__
    again = Ticket(*ticket_file.decode(encoded(ticket)))
    assert_same(again, ticket)
    assert again.apply(model_of()).seed == 5


def test_a_ticket_cannot_change_its_lottery():
    ticket = Ticket.of(Lottery(model_of()))
    for arrays in (ticket.masks, ticket.values):
        with pytest.raises(ValueError, match="read-only"):
            arrays["fc1/kernel"][0, 0] = 0


@pytest.mark.parametrize("pruned", ["zero", "freeze", "freeze_unless_shrinking"])
def test_a_ticket_restores_what_pruned_weights_are_held_at(pruned):
    lottery = Lottery(model_of(seed=1), Recipe(hold_at=pruned))
    rng = np.random.default_rng(0)
    for kernel in (lottery.model.layers[0].kernel, lottery.model.layers[-1].kernel):
        kernel.assign(rng.normal(size=kernel.shape))
    lottery.prune(0.5)
    lottery.rewind()
    model = model_of(seed=2)
    Ticket(*ticket_file.decode(encoded(Ticket.of(lottery)))).apply(model).check()
    for one, other in zip(lottery.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# On a model.


def test_apply():
    ticket = ticket_of(model_of(seed=1))
    model = model_of(seed=2)
    lottery = ticket.apply(model)
    assert lottery.model is model
    for name, mask in ticket.masks.items():
        np.testing.assert_array_equal(lottery.masks[name], mask)
    lottery.check()
    # In the layers' order: Keras numbers the unnamed ones anew.
    for value, expected in zip(
        lottery.state.point.values.values(), ticket.values.values(), strict=True
    ):
        np.testing.assert_array_equal(value, expected)
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
    np.testing.assert_array_equal(
        kernel, np.where(ticket.masks["fc1/kernel"], ticket.values["fc1/kernel"], 0)
    )


def test_what_comes_after_compares_with_the_ticket_not_with_the_network_before():
    ticket, model = ticket_of(model_of(seed=1)), model_of(seed=2)
    lottery = ticket.apply(model)
    seen = []
    lottery.prune(0.9, recipe=lambda kernel: seen.append(kernel) or kernel.current)
    assert [kernel.name for kernel in seen] == list(ticket.masks)
    for kernel in seen:
        np.testing.assert_array_equal(kernel.previous, ticket.values[kernel.name])


def test_apply_holds_in_training(tmp_path):
    ticket_of(model_of(seed=1)).save(tmp_path / "a.ticket")
    model = model_of(seed=2)
    model.compile("adam", "mse")
    ticket = Ticket.load(tmp_path / "a.ticket")
    lottery = ticket.apply(model)
    model.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=2, verbose=0)
    lottery.check()
    lottery.rewind()
    # In the layers' order: Keras numbers the unnamed ones anew.
    for value, expected in zip(
        lottery.state.point.values.values(), ticket.values.values(), strict=True
    ):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("step", [0, 3])
def test_apply_goes_on_from_the_step_of_the_rewind_point(step):
    found = Lottery(model_of(seed=1))
    found.save_rewind_point(step)
    model = model_of(seed=2)
    model.compile("adam", "mse")
    lottery = Ticket.of(found).union(Ticket.of(found)).apply(model)
    assert lottery.state.point.step == step
    assert int(model.optimizer.iterations) == step
    model.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=2, verbose=0)
    lottery.rewind()
    assert int(model.optimizer.iterations) == step


def test_apply_finds_renumbered_layers():
    def build():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])

    ticket = ticket_of(build())
    model = build()
    lottery = ticket.apply(model)
    assert set(lottery.names).isdisjoint(ticket.masks)
    for mask, expected in zip(lottery.masks.values(), ticket.masks.values(), strict=True):
        np.testing.assert_array_equal(mask, expected)


def test_apply_to_a_model_that_lost_its_masks():
    """Without the warning that a model which looks pruned gives elsewhere: warnings are errors."""
    model = model_of(seed=1)
    lottery = Lottery(model)
    lottery.prune(0.5)
    ticket = Ticket.of(lottery)
    lottery.detach()
    np.testing.assert_equal(ticket.apply(model).masks, ticket.masks)


def test_apply_masks_only_the_kernels_of_the_ticket():
    ticket = ticket_of(model_of())
    masks = {"fc1/kernel": ticket.masks["fc1/kernel"]}
    lottery = Ticket(masks, ticket.values).apply(model_of())
    assert lottery.names == ["fc1/kernel"]


@pytest.mark.parametrize(
    "model, problem",
    [
        (lambda: model_of(units=4), r"fc1/kernel.*\(4, 3\).*\(4, 4\)"),
        (lambda: model_of(name="dense"), "fc1/kernel"),
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc1")]),
            "differ",
        ),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "build it"),
    ],
)
def test_a_wrong_architecture_leaves_the_model_as_it_was(model, problem):
    ticket = ticket_of(model_of())
    model = model()
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(TicketError, match=problem):
        ticket.apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not model.built or Lottery.on(model) is None


def test_another_dtype_is_refused():
    ticket = ticket_of(model_of())
    values = {**ticket.values, "output/bias": ticket.values["output/bias"].astype("float16")}
    with pytest.raises(
        TicketError, match="'output/bias' is float16 in the ticket and float32 in the model"
    ):
        Ticket(ticket.masks, values).apply(model_of())


def test_a_model_with_masks_is_refused():
    ticket, model = ticket_of(model_of()), model_of(seed=1)
    lottery = ticket.apply(model)
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(TicketError, match="has masks already"):
        ticket.apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert Lottery.on(model) is lottery


def test_masks_of_what_cannot_be_pruned_are_refused():
    ticket, model = ticket_of(model_of()), model_of()
    masks = {**ticket.masks, "output/bias": np.ones(2, bool)}
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(TicketError, match=r"masks \['output/bias'\], which cannot be pruned"):
        Ticket(masks, ticket.values).apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert Lottery.on(model) is None


def test_bfloat16_model(tmp_path):
    def build():
        layer = keras.layers.Dense(2, name="fc", dtype="bfloat16")
        return keras.Sequential([keras.Input((4,)), layer])

    ticket = ticket_of(build())
    ticket.save(tmp_path / "a.ticket")
    model = build()
    Ticket.load(tmp_path / "a.ticket").apply(model).check()
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
    assert kernel.dtype == ml_dtypes.bfloat16
    values = ticket.values["fc/kernel"]
    expected = np.where(ticket.masks["fc/kernel"], values, values.dtype.type(0))
    np.testing.assert_array_equal(kernel.astype("float32"), expected.astype("float32"))


# Between tickets.


def test_operations_take_the_first_tickets_values():
    one, other = ticket_of(model_of(seed=1), seed=1), ticket_of(model_of(seed=2), seed=2)
    for name, operation in {
        "union": np.logical_or,
        "intersection": np.logical_and,
        "difference": lambda a, b: a & ~b,
    }.items():
        combined = getattr(one, name)(other)
        for kernel, mask in combined.masks.items():
            np.testing.assert_array_equal(mask, operation(one.masks[kernel], other.masks[kernel]))
        assert_same(Ticket(one.masks, combined.values), Ticket(one.masks, one.values))
        assert combined.metadata == {
            "operation": name,
            "of": [{"seed": 1}, {"seed": 2}],
            "hold_at": "zero",
            "rewind_step": 0,
            "seed": 1,
        }


def test_operations_hold_pruned_weights_where_the_tickets_do():
    def ticket(pruned, sparsity):
        lottery = Lottery(model_of(seed=1), Recipe(hold_at=pruned))
        lottery.prune(sparsity)
        return Ticket.of(lottery)

    one, other = ticket("freeze", 0.25), ticket("freeze", 0.5)
    for combined in (one.union(other), one.intersection(other), one.difference(other)):
        applied = combined.apply(model_of(seed=2))
        applied.check()
        for name, kernel in applied._kernels.items():
            np.testing.assert_array_equal(kernel, one.values[name])
    assert ticket("freeze", 0.0).union(one).metadata["hold_at"] == "freeze"
    with pytest.raises(TicketError, match="held as by 'freeze', of the other as by 'zero'"):
        one.union(ticket("zero", 0.5))


def test_compare():
    one, other = ticket_of(model_of(), seed=1), ticket_of(model_of(), seed=2)
    comparison = one.compare(other)
    assert [line.name for line in comparison.kernels] == ["fc1/kernel", "output/kernel"]
    assert comparison.overall.both == sum(
        int(np.sum(one.masks[name] & other.masks[name])) for name in one.masks
    )
    for function in (one.compare, one.union):
        with pytest.raises(TicketError, match=r"\(4, 5\) is stored where this ticket .* \(4, 3\)"):
            function(ticket_of(model_of(units=5)))
        fewer = Ticket({"fc1/kernel": other.masks["fc1/kernel"]}, other.values)
        with pytest.raises(TicketError, match="Only the first ticket has a mask for 'output/kern"):
            function(fewer)


def test_tickets_of_renumbered_layers():
    def build():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(4)])

    one, other = ticket_of(build(), seed=1), ticket_of(build(), seed=2)
    assert not one.masks.keys() & other.masks.keys()
    pairs = list(zip(one.masks.values(), other.masks.values(), strict=True))
    assert [line.both for line in one.compare(other).kernels] == [np.sum(a & b) for a, b in pairs]
    union = one.union(other)
    assert list(union.masks) == list(one.masks)
    for mask, (a, b) in zip(union.masks.values(), pairs, strict=True):
        np.testing.assert_array_equal(mask, a | b)


def test_weights_that_are_held_do_not_come_back():
    """In a ticket they have the value they are held at, which is not always the initial one."""

    def ticket(sparsity):
        lottery = Lottery(model_of(seed=1), Recipe(hold_at="freeze_unless_shrinking"))
        lottery.prune(sparsity)
        return Ticket.of(lottery)

    sparse, dense = ticket(0.5), ticket(0.25)
    np.testing.assert_equal(dense.union(sparse).masks, dense.masks)
    np.testing.assert_equal(sparse.intersection(dense).masks, sparse.masks)
    with pytest.raises(
        TicketError, match=r"weights of \['fc1/kernel', 'output/kernel'\] would come"
    ):
        sparse.union(dense)


def test_a_ticket_is_printed_in_a_line():
    masks = {f"fc{i}/kernel": np.arange(500) < 50 * i for i in (1, 2)}
    values = {name: np.zeros(500, "float32") for name in masks}
    ticket = Ticket(masks, values, {"criterion": "movement", "rounds": 3, "note": "n" * 1000})
    expected = (
        "<Ticket: 150 of 1,000 weights alive in 2 kernels, sparsity 0.85, criterion movement, "
        "rounds 3>"
    )
    assert repr(ticket) == str(ticket) == expected


@pytest.mark.parametrize("wrong", [None, "model.keras", 3])
def test_what_is_no_model_to_put_a_ticket_on(wrong):
    with pytest.raises(TicketError, match=f"not fit {wrong!r}: `model` must be a keras.Model"):
        ticket_of(model_of()).apply(wrong)
