import json

import pytest

from experiments import settings
from experiments.settings import Settings


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"dataset": "mnist", "rate": 0.4, "seeds": 3, "control_rounds": [2]},
        {"augmentation": ["flip"], "dropout": 0.5, "granularity": "blocks:4"},
        {"network": "resnet20", "criterion": "snip", "rewind": "step:500"},
    ],
)
def test_settings_become_json_and_back(given):
    chosen = settings.make(**given)
    assert Settings.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


def test_what_is_not_said_is_as_the_preset_says():
    chosen = settings.make(network="resnet20")
    assert (chosen.training.batch_size, chosen.training.iterations) == (128, 30_000)
    assert (chosen.recipe.scope, chosen.recipe.exclude) == ("globally", "^output/")
    assert (chosen.training.optimizer.name, chosen.training.optimizer.warm_up) == (
        "momentum",
        2 / 3,
    )


def test_other_rates_change_by_the_same_factor():
    assert settings.make(rate=0.4).overrides == {"^output/": 0.2}


def test_a_learning_rate_is_that_of_the_presets_optimizer():
    assert settings.make(learning_rate=0.01).training.optimizer.learning_rate == 0.01
    adamw = settings.make(optimizer="adamw", learning_rate=0.01, weight_decay=0.1)
    assert adamw.training.optimizer.make(10).weight_decay == 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rounds": 0}, "`rounds` must be an integer of 1 or more, received 0"),
        ({"seeds": 1.5}, "`seeds` must be an integer of 1 or more, received 1.5"),
        ({"dropout": 2}, "`dropout` must be between 0 and 1, received 2"),
        ({"learning_rate": -1.0}, "`learning_rate` must be 0 or more"),
        ({"fused": "perhaps"}, "`fused` must be auto, always or never"),
    ],
)
def test_a_wrong_value_is_one_error(given, message):
    with pytest.raises(ValueError, match=message):
        settings.make(**given)


def test_a_distribution_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("keras.distribution.distribution", lambda: "DataParallel")
    with pytest.raises(ValueError, match="distribution is set"):
        settings.make()
