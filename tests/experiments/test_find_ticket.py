import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import keras_lottery as kl
from experiments import find_ticket, training
from experiments.results import Result

TINY = ("--examples=32", "--iterations=2", "--rounds=2")


def results(folder):
    lines = (folder / "results.jsonl").read_text().splitlines()
    return [Result(**json.loads(line)) for line in lines]


def timeless(folder):
    return [dataclasses.replace(result, seconds=0) for result in results(folder)]


def interrupted_after(trainings, monkeypatch):
    """Lets so many networks be trained, and then Ctrl-C be pressed; returns what was trained."""
    trained = []
    train = training.Trainer.train

    def interrupted(self, *arguments, **named):
        if len(trained) == trainings:
            raise KeyboardInterrupt
        trained.append(self)
        return train(self, *arguments, **named)

    monkeypatch.setattr(training.Trainer, "train", interrupted)
    return trained


def test_one_step_leaves_flags_results_tickets_and_figures(run, tmp_path, capsys):
    run(find_ticket, "--examples=32", "--iterations=1", "--rounds=1", f"--output={tmp_path}")
    flags = json.loads((tmp_path / "flags.json").read_text())["flags"]
    assert (flags["dataset"], flags["network"], flags["iterations"]) == ("digits", "digits_mlp", 1)
    assert [(r.index, r.variant) for r in results(tmp_path)] == [
        (0, "dense"),
        (1, "ticket"),
        (1, "reinit"),
    ]
    assert (tmp_path / "accuracy.png").exists()
    assert (tmp_path / "early_stopping.png").exists()
    ticket = kl.Ticket.load(tmp_path / "seed-0" / "round-01.ticket")
    kept = {name: int(mask.sum()) for name, mask in ticket.masks.items()}
    assert kept == results(tmp_path)[1].alive_counts
    [trained] = ticket.metadata["history"]
    assert Result(**trained, seconds=0) == timeless(tmp_path)[1]
    output = capsys.readouterr().out
    assert "digits_mlp on 26 images of digits, 1 iterations a round, 1 seed" in output
    assert "The dense network reaches" in output


def test_a_ticket_is_found_on_digits_and_exported(run, tmp_path, capsys):
    run(
        find_ticket,
        "--rounds=3",
        "--rate=0.4",
        "--iterations=200",
        "--export",
        "--within=2",
        f"--output={tmp_path}",
    )
    dense, *others = results(tmp_path)
    assert dense.test_accuracy > 0.9
    assert [r.alive_counts for r in others if r.variant == "ticket"][-1] == {
        # Three times n - round(0.4 n), and at half that rate for the output layer.
        "fc1/kernel": 1769,
        "fc2/kernel": 1769,
        "output/kernel": 328,
    }
    assert (tmp_path / "best.tflite").stat().st_size > 0
    best = (tmp_path / "best.ticket").read_bytes()
    assert best in [path.read_bytes() for path in (tmp_path / "seed-0").glob("*.ticket")]
    assert "The smallest ticket within 2 points" in capsys.readouterr().out


def test_weights_that_are_not_the_tickets_are_not_exported(run, tmp_path):
    arguments = ("--examples=32", "--iterations=1", "--rounds=1", f"--output={tmp_path}")
    run(find_ticket, *arguments, "--controls=")
    dense, ticket = (tmp_path / "seed-0" / f"round-0{index}.weights.h5" for index in (0, 1))
    ticket.write_bytes(dense.read_bytes())
    with pytest.raises(SystemExit, match=r"find_ticket: .*kernel"):
        run(find_ticket, *arguments, "--controls=", "--export")
    assert not (tmp_path / "best.keras").exists()


def test_a_ticket_of_another_result_is_not_exported(run, tmp_path):
    arguments = ("--examples=32", "--iterations=1", "--rounds=1", f"--output={tmp_path}")
    run(find_ticket, *arguments, "--controls=")
    path = tmp_path / "seed-0" / "round-01.ticket"
    ticket = kl.Ticket.load(path)
    [trained] = ticket.metadata["history"]
    other = {**ticket.metadata, "history": [{**trained, "train_loss": 0.25}]}
    dataclasses.replace(ticket, metadata=other).save(path)
    with pytest.raises(SystemExit, match=r"find_ticket: .*not the ticket of the result"):
        run(find_ticket, *arguments, "--controls=", "--export")
    assert not list(tmp_path.glob("best.*"))


def test_controls_have_the_tickets_counts_and_their_own_rounds(run, tmp_path):
    kinds = ["reinit", "random_mask", "shuffle_layerwise"]
    run(
        find_ticket,
        *TINY,
        f"--controls={','.join(kinds)}",
        "--control_rounds=2",
        f"--output={tmp_path}",
    )
    assert [(r.index, r.variant) for r in results(tmp_path)] == [
        (0, "dense"),
        (1, "ticket"),
        (2, "ticket"),
        *((2, kind) for kind in kinds),
    ]
    _, _, ticket, *controls = results(tmp_path)
    assert all(control.alive_counts == ticket.alive_counts for control in controls)
    assert len({control.test_loss for control in [ticket, *controls]}) == 4


@pytest.mark.long
def test_one_shot_prunes_the_dense_network_to_every_rounds_sparsity(run, tmp_path):
    run(find_ticket, *TINY, "--scheme=one_shot", "--controls=", f"--output={tmp_path}")
    assert [(r.index, r.variant) for r in results(tmp_path)] == [
        (0, "dense"),
        (1, "ticket"),
        (2, "ticket"),
    ]
    assert results(tmp_path)[2].alive_counts == {
        "fc1/kernel": 8192 - 2949,  # round(0.36 * 8192) are pruned
        "fc2/kernel": 8192 - 2949,
        "output/kernel": 640 - 122,  # and round(0.19 * 640)
    }
    dense = kl.Ticket.load(tmp_path / "seed-0" / "round-00.ticket")
    for index in (1, 2):
        ticket = kl.Ticket.load(tmp_path / "seed-0" / f"round-0{index}.ticket")
        assert all(np.array_equal(dense.values[name], ticket.values[name]) for name in dense.values)


@pytest.mark.parametrize(("rewind", "trainings"), [("start", 3), ("step:1", 1)])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    run, tmp_path, monkeypatch, rewind, trainings
):
    arguments = (*TINY, f"--rewind={rewind}")
    run(find_ticket, *arguments, f"--output={tmp_path / 'whole'}")
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="Interrupted"):
        interrupted_after(trainings, patch)
        run(find_ticket, *arguments, f"--output={tmp_path / 'parts'}")
    assert len(results(tmp_path / "parts")) == trainings
    run(find_ticket, *arguments, f"--output={tmp_path / 'parts'}")
    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")


@pytest.mark.long
def test_all_networks_of_a_run_are_trained_the_same_way(run, tmp_path):
    run(
        find_ticket,
        *("--examples=32", "--batch_size=2", "--iterations=1010", "--rounds=1"),
        *("--rewind=epoch:4", "--controls=random_mask", f"--output={tmp_path}"),
    )
    # Of the 1,010 iterations, 13 an epoch, a rewound network trains fewer than 1,000.
    assert [r.fused for r in results(tmp_path)] == ["xla", "xla", "xla"]


def test_a_training_that_diverges_is_one_line_and_its_flags_may_be_corrected(
    run, tmp_path, monkeypatch
):
    arguments = ("--examples=32", "--rounds=1", "--controls=", f"--output={tmp_path}")
    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "evaluate", lambda self, examples: (float("nan"), 0.0))
        message = "^find_ticket: Training diverged: the validation loss is nan at iteration 1"
        with pytest.raises(SystemExit, match=message):
            run(find_ticket, *arguments, "--iterations=1")
    run(find_ticket, *arguments, "--iterations=2")
    flags = json.loads((tmp_path / "flags.json").read_text())["flags"]
    assert {r.iterations for r in results(tmp_path)} == {flags["iterations"]} == {2}


@pytest.mark.parametrize("rewind", ["none", "learning_rate"])
def test_kept_weights_that_are_not_rewound_cannot_be_changed(run, tmp_path, rewind):
    with pytest.raises(SystemExit, match="`restart_from`='reinit' needs a `rewind` of the weights"):
        flags = (f"--rewind={rewind}", "--restart_from=reinit", f"--output={tmp_path / 'none'}")
        run(find_ticket, *TINY, *flags)
    assert not (tmp_path / "none").exists()


def test_a_finished_run_trains_nothing_again_and_other_flags_are_refused(
    run, tmp_path, monkeypatch, capsys
):
    arguments = ("--examples=32", "--iterations=1", "--rounds=1", f"--output={tmp_path}")
    run(find_ticket, *arguments)
    found = capsys.readouterr().out[-300:]
    trained = interrupted_after(0, monkeypatch)
    run(find_ticket, *arguments)
    assert trained == []
    assert capsys.readouterr().out[-300:] == found
    with pytest.raises(SystemExit, match=r"other flags: --seeds=\[0\] \(now \[0, 1\]\)"):
        run(find_ticket, *arguments, "--seeds=2")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--network=lenet", "No network 'lenet'; there are conv2, .*lenet_300_100"),
        ("--criterion=large", "No 'large' in criteria or scorers; .*large_final"),
        ("--restart_from=x", "No 'x' in restart_from; .*rewind"),
        ("--hold_at=x", "No 'x' in hold_at; .*zero"),
        ("--scope=x", "No 'x' in scopes; .*globally"),
        ("--rewind=soon", "No rewind point 'soon'; there are start, step:500"),
        ("--rewind=epoch:3", "rewind point is iteration 3, and a round has only 2"),
        ("--controls=luck", "No control 'luck'; there are reinit"),
        ("--control_rounds=9", "No round '9' to have controls; there are 1 to 2"),
    ],
)
def test_a_wrong_value_is_answered_with_the_right_ones(run, tmp_path, flag, message):
    with pytest.raises(SystemExit, match=message):
        run(find_ticket, *TINY, f"--output={tmp_path / 'none'}", flag)
    assert not (tmp_path / "none").exists()


def test_help_names_every_flag_and_imports_no_keras():
    code = (
        "import sys; from absl import flags; from experiments import find_ticket; "
        "print(flags.FLAGS.get_help()); assert 'keras' not in sys.modules"
    )
    help_text = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    for name in ("--dataset", "--rewind", "--controls", "--seeds", "--scale", "--[no]export"):
        assert name in help_text
