import dataclasses

import pytest
import sample_plans

import keras_lottery as kl
from experiments import settings
from experiments.pieces.dense import Dense
from experiments.pieces.pruned import Pruned

TRAINING = settings.make().training
DENSE = Dense(TRAINING, data="0123", seed=0)
ROUND = Pruned(DENSE, kl.Recipe(), 0.2, {})


def test_names_stay_what_they_are():
    """Every stored network is found by these: another name would train all again."""
    assert DENSE.name == "dense-7767f1997e60700d"
    assert ROUND.name == "pruned-5c9c8d5afb672a8f"


def test_the_definition_is_the_settings_that_are_not_the_default_ones():
    assert ROUND.definition == {
        "parent": DENSE.name,
        "recipe": {"criterion": "large_final"},
        "rate": 0.2,
    }
    assert DENSE.definition["training"] == {
        "network": "digits_mlp",
        "optimizer": {"name": "adam", "learning_rate": 0.003},
        "iterations": 1000,
        "batch_size": 60,
        "validation": 200,
        "evaluate_every": 20,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": 999},
        {"batch_size": 61},
        {"dropout": 0.1},
        {"augmentation": ("flip",)},
        {"fused": "never"},
        {"backend": "jax"},
    ],
)
def test_whatever_decides_the_result_is_in_the_name(change):
    other = dataclasses.replace(DENSE, training=dataclasses.replace(TRAINING, **change))
    assert other.name != DENSE.name
    assert dataclasses.replace(ROUND, parent=other).name != ROUND.name


def test_a_setting_that_does_not_matter_is_not_in_the_name():
    assert dataclasses.replace(ROUND, scored_images=100).name == ROUND.name
    scored = dataclasses.replace(ROUND, recipe=kl.Recipe("snip"))
    assert dataclasses.replace(scored, scored_images=100).name != scored.name


def test_rounds_seeds_and_controls_are_in_no_name():
    few, many = sample_plans.small(rounds=1, controls=()), sample_plans.small(rounds=2, seeds=2)
    assert set(few.names()) < set(many.names())
