import dataclasses
import json
import types

import keras
import numpy as np
import pytest

from experiments import each_epoch, prune_each_epoch
from experiments.networks import digits_mlp
from experiments.results import Result

METHODS = ["large_final", "least_change", "movement", "rewinding"]


def results(folder):
    lines = (folder / "results.jsonl").read_text().splitlines()
    return [Result(**json.loads(line)) for line in lines]


def test_one_step_compares_all_methods_at_the_same_counts(run, tmp_path, capsys, monkeypatch):
    arguments = (
        "--examples=32",
        "--epochs=2",
        "--rounds=2",
        "--rate=0.36",
        f"--output={tmp_path}",
    )
    run(prune_each_epoch, *arguments)
    found = results(tmp_path)
    assert [(r.variant, r.index) for r in found] == [
        ("dense", 0),
        *((method, index) for method in METHODS for index in (0, 1, 2)),
    ]
    by_round = [[r.alive_counts for r in found[1:] if r.index == index] for index in (0, 1, 2)]
    assert all(kept == kepts[0] for kepts in by_round for kept in kepts)
    # round(0.36 * 8192) and round(0.18 * 640) are pruned, then the same of the rest.
    assert by_round[1][0] == {"fc1/kernel": 5243, "fc2/kernel": 5243, "output/kernel": 525}
    assert by_round[2][0] == {"fc1/kernel": 3355, "fc2/kernel": 3355, "output/kernel": 430}
    # One step an epoch: all methods take six, and share the first round.
    assert {r.iterations for r in found if r.index == 2} == {found[0].iterations} == {6}
    assert len({r.test_loss for r in found if r.variant != "dense" and r.index == 0}) == 1
    assert len({r.test_loss for r in found if r.index == 2}) == 4
    assert (tmp_path / "accuracy.png").exists()
    output = capsys.readouterr().out
    assert all(f"{method} keeps" in output for method in METHODS)

    monkeypatch.setattr(each_epoch.training.Trainer, "fit", pytest.fail)
    run(prune_each_epoch, *arguments)
    assert results(tmp_path) == found


@pytest.mark.long
def test_a_method_that_was_interrupted_is_trained_again(run, tmp_path):
    arguments = ("--examples=32", "--epochs=1", "--rounds=1", "--criteria=movement")
    run(prune_each_epoch, *arguments, f"--output={tmp_path}")
    path = tmp_path / "results.jsonl"
    whole = [(r.variant, r.index, r.test_loss) for r in results(tmp_path)]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    run(prune_each_epoch, *arguments, f"--output={tmp_path}")
    assert [(r.variant, r.index, r.test_loss) for r in results(tmp_path)] == whole


def test_an_unknown_criterion_is_answered_with_those_there_are(run, tmp_path):
    with pytest.raises(SystemExit, match=r"No .magnitude. in criteria; .*large_final"):
        run(prune_each_epoch, "--criteria=magnitude", f"--output={tmp_path}")


def test_random_pruning_differs_from_seed_to_seed():
    experiment = types.SimpleNamespace(
        rate=0.5,
        overrides={},
        scope="layerwise",
        network=types.SimpleNamespace(PRESET=types.SimpleNamespace(exclude=None)),
    )
    comparison = each_epoch.MethodComparison(experiment, 1, ["random"], epochs=1)
    masks = []
    for seed in (0, 1, 1):
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, name="fc1")])
        model.compile("sgd", "mse")
        model.fit(
            np.ones((4, 8)),
            np.ones((4, 10)),
            epochs=2,
            callbacks=[comparison.pruning("random", seed)],
            verbose=0,
        )
        masks.append(model.get_layer("fc1").kernel.numpy() != 0)
    assert not np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[1], masks[2])


@pytest.mark.long
def test_the_dense_network_counts_the_kernels_that_are_pruned(run, tmp_path, monkeypatch):
    preset = dataclasses.replace(digits_mlp.PRESET, exclude="^fc2/")
    monkeypatch.setattr(digits_mlp, "PRESET", preset)
    run(
        prune_each_epoch,
        *("--examples=32", "--epochs=1", "--rounds=1", "--criteria=movement"),
        f"--output={tmp_path}",
    )
    assert {tuple(r.alive_counts) for r in results(tmp_path)} == {("fc1/kernel", "output/kernel")}


@pytest.mark.parametrize("epochs", [1, 3, 7])
def test_both_schedules_meet_at_the_end_of_every_round(epochs):
    comparison = each_epoch.MethodComparison(None, 4, [], epochs)
    every_round, every_epoch = comparison.every_round(0.2), comparison.every_epoch(0.2)
    for index in range(5):
        trained = epochs * (index + 1) - 1  # epochs before the last one of the round
        assert every_epoch(trained) == pytest.approx(every_round(trained))
        assert every_round(trained) == pytest.approx(1 - 0.8**index)
    assert every_epoch(comparison.total) == every_epoch(comparison.total - 1)
