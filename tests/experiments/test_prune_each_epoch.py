import csv
import dataclasses
import json

import pytest

from experiments import prune_each_epoch, training
from experiments.networks import digits_mlp

METHODS = ["large_final", "least_change", "movement", "rewinding"]


def results(folder):
    """`(variant, round, test loss, measures)` of every network."""
    with open(folder / "results.csv", newline="") as file:
        return [
            (
                line["variant"],
                int(line["round"]),
                line["test_loss"],
                json.loads((folder / "pieces" / line["piece"] / "measures.json").read_text()),
            )
            for line in csv.DictReader(file)
        ]


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
    assert [(variant, index) for variant, index, *_ in found] == [
        ("dense", 0),
        *((method, index) for method in METHODS for index in (0, 1, 2)),
    ]
    by_round = [[m["alive_counts"] for _, i, _, m in found[1:] if i == index] for index in range(3)]
    assert all(kept == kepts[0] for kepts in by_round for kept in kepts)
    # round(0.36 * 8192) and round(0.18 * 640) are pruned, then the same of the rest.
    assert by_round[1][0] == {"fc1/kernel": 5243, "fc2/kernel": 5243, "output/kernel": 525}
    assert by_round[2][0] == {"fc1/kernel": 3356, "fc2/kernel": 3356, "output/kernel": 430}
    # One step an epoch: all methods take six, and share the first round.
    assert {m["iterations"] for v, i, _, m in found if i == 2 and v != "rewinding"} == {6}
    assert len({loss for v, i, loss, _ in found if v != "dense" and i == 0}) == 1
    assert len({loss for _, i, loss, _ in found if i == 2}) == 4
    assert (tmp_path / "accuracy.png").exists()
    output = capsys.readouterr().out
    assert all(f"{method} keeps" in output for method in METHODS)

    monkeypatch.setattr(training.Trainer, "train", pytest.fail)
    run(prune_each_epoch, *arguments)
    assert results(tmp_path) == found


def test_an_unknown_criterion_is_answered_with_those_there_are(run, tmp_path):
    with pytest.raises(SystemExit, match=r"No .biggest. in criteria; .*large_final"):
        run(prune_each_epoch, "--criteria=biggest", f"--output={tmp_path}")


@pytest.mark.long
def test_the_dense_network_counts_the_kernels_that_are_pruned(run, tmp_path, monkeypatch):
    preset = dataclasses.replace(digits_mlp.PRESET, exclude="^fc2/")
    monkeypatch.setattr(digits_mlp, "PRESET", preset)
    run(
        prune_each_epoch,
        *("--examples=32", "--epochs=1", "--rounds=1", "--criteria=movement"),
        f"--output={tmp_path}",
    )
    counts = {tuple(measured["alive_counts"]) for *_, measured in results(tmp_path)}
    assert counts == {("fc1/kernel", "output/kernel")}
