"""What `Prune` refuses, and what it finds wrong during `model.fit`."""

import functools

import numpy as np
import pytest
from fitting import Do, fit

import keras_lottery as kl
from keras_lottery import schedules


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"unit": "batch"}, "`unit` must be 'epoch' or 'step', received 'batch'"),
        ({"rewind": "start"}, "`rewind` must be None or a policy.*received 'start'"),
        (
            {"recipe": kl.Recipe(restart_from="reinit")},
            "`restart_from`='reinit' needs a `rewind`",
        ),
        (
            {
                "recipe": kl.Recipe(otherwise={"fc1": kl.Recipe(restart_from="reinit")}),
                "rewind": kl.rewind.learning_rate(),
            },
            "`restart_from`='reinit' needs a `rewind` of the weights",
        ),
        ({"recipe": "large_finl"}, "No 'large_finl' in criteria or scorers.*large_final.*snip"),
        ({"recipe": "snip"}, "'snip' measures the model: give `data`"),
        ({"data": ([[1.0]], [1])}, "`data` is given, but no criterion looks at it: large_final"),
        ({"seed": -1}, "`seed` is -1; it must be a whole number"),
        ({"overrides": {"output": schedules.constant}}, r"`schedule` is constant\(0\) at step 0"),
        ({"overrides": {"output": 0.5}}, "`schedule` is 0.5; pass a function"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        kl.Prune(schedules.constant(0.5), **settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"recipe": kl.Recipe(include="fc7")},
            "Nothing matched: include='fc7'.*fc1/kernel",
        ),
        ({"overrides": {"fc7": schedules.constant(0.1)}}, "Nothing matched.*'fc7'"),
        ({"recipe": kl.Recipe(otherwise={"fc7": "random"})}, "Nothing matched: `otherwise`.*'fc7'"),
        (
            {"recipe": kl.Recipe(exclude="outptu")},
            "Nothing matched: exclude='outptu' is in",
        ),
        ({"rewind": kl.rewind.to_epoch(2)}, "prunes at epoch 1, before the rewind point"),
        (
            {"rewind": kl.rewind.to_step(3), "unit": "step"},
            "prunes at step 1, before the rewind point",
        ),
    ],
)
def test_errors_in_fit(make_model, data, settings, message):
    with pytest.raises(ValueError, match=message):
        fit(make_model(), data, kl.Prune(schedules.constant(0.5, begin=1), **settings))


def test_a_rewind_point_inside_an_execution_is_an_error(make_model, data):
    prune = kl.Prune(schedules.constant(0.5, begin=2), rewind=kl.rewind.to_step(4))
    with pytest.raises(ValueError, match="point, step 4, cannot be saved: training is at step 7"):
        fit(make_model(steps_per_execution=7), data, prune)


@pytest.mark.parametrize(
    "recipe, other, message",
    [
        ({"exclude": "output"}, {}, r"`include` and `exclude`: \['fc1/kernel'\] there, \['fc1/ker"),
        ({}, {"include": "fc1"}, r"`include` and `exclude`: .* there, \['fc1/kernel'\] here"),
        ({}, {"hold_at": "freeze"}, "`hold_at`: zero there, freeze here"),
        ({"hold_at": "freeze"}, {}, "`hold_at`: freeze there, zero here"),
    ],
)
def test_masks_made_otherwise_are_not_taken_over(make_model, data, recipe, other, message):
    recipe, other = kl.Recipe(**recipe), kl.Recipe(**other)
    model = make_model()
    kl.Lottery(model, recipe).prune(0.25)
    with pytest.raises(ValueError, match=f"masks already, made with another {message}"):
        fit(model, data, kl.Prune(schedules.constant(0.5), other))
    # A new callback of the same settings goes on, as when a notebook's cell is run twice.
    prune = kl.Prune(schedules.constant(0.5, begin=1), recipe)
    assert fit(model, data, prune, epochs=2)["sparsity"] == [0.25, 0.5]
    # And so does the same callback in a second fit.
    assert fit(model, data, prune, epochs=2)["sparsity"] == [0.5, 0.5]


def test_functions_without_a_name_are_in_the_ticket(make_model, data):
    prune = kl.Prune(
        schedules.constant(0.5, begin=1),
        functools.partial(lambda p, kernel: np.abs(kernel.current) ** p, 2),
    )
    fit(make_model(), data, prune, epochs=1)
    criterion = prune.ticket.metadata["recipe"]["criterion"]["function"]
    assert criterion.startswith("functools.partial(")


def test_weights_changed_behind_our_back_are_found(make_model, data):
    def revive(model, epoch):
        if epoch == 1:
            model.get_layer("output").kernel.assign(np.ones((8, 4)))

    with pytest.raises(kl.MaskError, match="'output/kernel': 16 of 16 pruned weights"):
        fit(make_model(), data, Do(revive), kl.Prune(schedules.constant(0.5)))


def test_there_is_no_ticket_before_fit():
    with pytest.raises(ValueError, match="no ticket yet"):
        _ = kl.Prune(schedules.constant(0.5)).ticket
