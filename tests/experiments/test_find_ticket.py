import csv
import json
import subprocess
import sys

import numpy as np
import pytest

import keras_lottery as kl
from experiments import find_ticket, training

TINY = ("--examples=32", "--iterations=2", "--rounds=2")


def results(folder):
    """The lines of the table, numbers as numbers."""
    with open(folder / "results.csv", newline="") as file:
        return [
            {k: v if k in ("variant", "piece", "fused") else float(v) for k, v in line.items() if v}
            for line in csv.DictReader(file)
        ]


def timeless(folder):
    return [{k: v for k, v in result.items() if k != "seconds"} for result in results(folder)]


def networks(folder):
    return [(result["round"], result["variant"]) for result in results(folder)]


def piece(tmp_path, result):
    return tmp_path / "pieces" / result["piece"]


def measures(tmp_path, result):
    return json.loads((piece(tmp_path, result) / "measures.json").read_text())


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


def test_one_step_leaves_settings_results_tickets_and_figures(run, tmp_path, capsys):
    run(find_ticket, "--examples=32", "--iterations=1", "--rounds=1", f"--output={tmp_path}")
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["settings"]["images"]["name"] == "digits"
    assert written["settings"]["training"]["network"] == "digits_mlp"
    assert written["settings"]["training"]["iterations"] == 1
    assert networks(tmp_path) == [(0, "dense"), (1, "ticket"), (1, "reinit")]
    assert [entry[3] for entry in written["plan"]] == [r["piece"] for r in results(tmp_path)]
    assert (tmp_path / "accuracy.png").exists()
    assert (tmp_path / "early_stopping.png").exists()
    measured = measures(tmp_path, results(tmp_path)[1])
    ticket = kl.Ticket.load(piece(tmp_path, results(tmp_path)[1]) / "ticket")
    kept = {name: int(mask.sum()) for name, mask in ticket.masks.items()}
    assert kept == measured["alive_counts"]
    del measured["seconds"]
    assert ticket.metadata["history"] == [measured]
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
    assert dense["test_accuracy"] > 0.9
    tickets = [r for r in others if r["variant"] == "ticket"]
    assert measures(tmp_path, tickets[-1])["alive_counts"] == {
        # Three times n - round(0.4 n), and at half that rate for the output layer.
        "fc1/kernel": 1769,
        "fc2/kernel": 1769,
        "output/kernel": 328,
    }
    assert (tmp_path / "best.tflite").stat().st_size > 0
    best = (tmp_path / "best.ticket").read_bytes()
    assert best in [(piece(tmp_path, r) / "ticket").read_bytes() for r in tickets]
    assert "The smallest ticket within 2 points" in capsys.readouterr().out


@pytest.mark.long
def test_a_damaged_piece_is_not_exported(run, tmp_path):
    arguments = ("--examples=32", "--iterations=1", "--rounds=1", f"--output={tmp_path}")
    run(find_ticket, *arguments, "--controls=")
    dense, ticket = (piece(tmp_path, r) / "trained" for r in results(tmp_path))
    ticket.write_bytes(dense.read_bytes())
    with pytest.raises(SystemExit, match=r"find_ticket: .*trained is damaged"):
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
    assert networks(tmp_path) == [
        (0, "dense"),
        (1, "ticket"),
        (2, "ticket"),
        *((2, kind) for kind in kinds),
    ]
    _, _, *sparse = results(tmp_path)
    counts = [measures(tmp_path, result)["alive_counts"] for result in sparse]
    assert all(count == counts[0] for count in counts)
    assert len({result["test_loss"] for result in sparse}) == 4


@pytest.mark.long
def test_one_shot_prunes_the_dense_network_to_every_rounds_sparsity(run, tmp_path):
    run(find_ticket, *TINY, "--method=one_shot", "--controls=", f"--output={tmp_path}")
    assert networks(tmp_path) == [(0, "dense"), (1, "ticket"), (2, "ticket")]
    assert measures(tmp_path, results(tmp_path)[2])["alive_counts"] == {
        "fc1/kernel": 8192 - 2949,  # round(0.36 * 8192) are pruned
        "fc2/kernel": 8192 - 2949,
        "output/kernel": 640 - 122,  # and round(0.19 * 640)
    }
    dense, *tickets = (kl.Ticket.load(piece(tmp_path, r) / "ticket") for r in results(tmp_path))
    for ticket in tickets:
        assert all(np.array_equal(dense.values[name], ticket.values[name]) for name in dense.values)


@pytest.mark.parametrize(
    ("rewind", "trainings"), [pytest.param("start", 3, marks=pytest.mark.long), ("step:1", 2)]
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    run, tmp_path, monkeypatch, rewind, trainings
):
    arguments = (*TINY, f"--rewind={rewind}")
    parts = (f"--output={tmp_path / 'parts'}", f"--pieces={tmp_path / 'own'}")
    run(find_ticket, *arguments, f"--output={tmp_path / 'whole'}")
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="Interrupted"):
        interrupted_after(trainings, patch)
        run(find_ticket, *arguments, *parts)
    assert len([p for p in (tmp_path / "own").iterdir() if p.name[0] != "."]) == trainings
    run(find_ticket, *arguments, *parts)
    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")
    for result in results(tmp_path / "whole"):
        for file in ("ticket", "trained", "curve.csv"):
            one, other = (tmp_path / f / result["piece"] / file for f in ("own", "pieces"))
            assert one.read_bytes() == other.read_bytes()


@pytest.mark.long
def test_all_networks_of_a_run_are_trained_the_same_way(run, tmp_path):
    run(
        find_ticket,
        *("--examples=32", "--batch_size=2", "--iterations=1010", "--rounds=1"),
        *("--rewind=epoch:4", "--controls=random_mask", f"--output={tmp_path}"),
    )
    # Of the 1,010 iterations, 13 an epoch, a rewound network trains fewer than 1,000.
    assert [r["fused"] for r in results(tmp_path)] == ["xla", "xla", "xla"]


def test_a_training_that_diverges_is_one_line(run, tmp_path, monkeypatch):
    arguments = ("--examples=32", "--rounds=1", "--controls=", f"--output={tmp_path}")
    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "evaluate", lambda self, examples: (float("nan"), 0.0))
        message = "^find_ticket: Training diverged: the validation loss is nan at iteration 1"
        with pytest.raises(SystemExit, match=message):
            run(find_ticket, *arguments, "--iterations=1")
    run(find_ticket, *arguments, "--iterations=2")
    assert {r["iterations"] for r in results(tmp_path)} == {2}


@pytest.mark.parametrize("rewind", ["none", "learning_rate"])
def test_kept_weights_that_are_not_rewound_cannot_be_changed(run, tmp_path, rewind):
    with pytest.raises(SystemExit, match="`restart_from`='reinit' needs a `rewind` of the weights"):
        flags = (f"--rewind={rewind}", "--restart_from=reinit", f"--output={tmp_path / 'none'}")
        run(find_ticket, *TINY, *flags)
    assert not (tmp_path / "none").exists()


def test_more_rounds_and_seeds_train_only_what_is_new(run, tmp_path, monkeypatch, capsys):
    arguments = ("--examples=32", "--iterations=1", f"--output={tmp_path}")
    run(find_ticket, *arguments, "--rounds=1")
    found = capsys.readouterr().out[-300:]
    with monkeypatch.context() as patch:
        assert interrupted_after(0, patch) == []
        run(find_ticket, *arguments, "--rounds=1")
    assert capsys.readouterr().out[-300:] == found
    before = set((tmp_path / "pieces").iterdir())
    run(find_ticket, *arguments, "--rounds=2")  # a ticket and its control
    assert len(set((tmp_path / "pieces").iterdir()) - before) == 2
    run(find_ticket, *arguments, "--rounds=2", "--criterion=random", "--controls=")
    assert len(set((tmp_path / "pieces").iterdir()) - before) == 4  # the dense one is shared
    run(find_ticket, *arguments, "--rounds=2", "--seeds=2", "--controls=")
    assert len(set((tmp_path / "pieces").iterdir()) - before) == 7


def test_a_run_of_the_first_edition_is_refused_and_left_alone(run, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    (old / "results.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit, match="a run of the first edition"):
        run(find_ticket, *TINY, f"--output={old}")
    assert [path.name for path in old.iterdir()] == ["results.jsonl"]


def test_a_kernel_without_a_weight_ends_the_search_and_is_said(run, tmp_path, capsys):
    arguments = ("--examples=32", "--iterations=1", "--rounds=3", "--rate=1", "--controls=")
    run(find_ticket, *arguments, f"--output={tmp_path}")
    assert networks(tmp_path) == [(0, "dense"), (1, "ticket")]
    assert "no weight is left of fc1/kernel, fc2/kernel in pruned-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--network=lenet", "No network 'lenet'; there are conv2, .*lenet_300_100"),
        ("--criterion=large", "No 'large' in criteria or scorers; .*large_final"),
        ("--restart_from=x", "No 'x' in restart_from; .*rewind"),
        ("--hold_at=x", "No 'x' in hold_at; .*zero"),
        ("--scope=x", "No 'x' in scopes; .*globally"),
        ("--granularity=x", "No 'x' in granularity; .*blocks"),
        ("--granularity=blocks", "`granularity`='blocks': .*width"),
        ("--optimizer=sgd", "`optimizer`='sgd' needs a `learning_rate`"),
        ("--augmentation=rotate", "No augmentation 'rotate'; there are flip, shift"),
        ("--method=luck", "No method 'luck'; there are at_initialisation, biprop, dense"),
        ("--method=dense --rounds=3", "`rounds` does not matter to method 'dense'"),
        ("--method=supermask --rate=0.5", "`r[a-z]+` does not matter to method 'supermask'"),
        ("--method=edge_popup --criterion=snip", "`criterion` does not matter to method 'edge_p"),
        ("--method=every_epoch --criterion=snip", "measures with data, which pruning at every"),
        ("--rewind=soon", "No rewind point 'soon'; there are start, step:500"),
        ("--rewind=epoch:3", "rewind point is iteration 3, and a round has only 2"),
        ("--controls=luck", "No control 'luck'; there are random_mask, reinit"),
        ("--control_rounds=9", "No round '9' to have controls; there are 1 to 2"),
    ],
)
def test_a_wrong_value_is_answered_with_the_right_ones(run, tmp_path, flag, message):
    with pytest.raises(SystemExit, match=message):
        run(find_ticket, *TINY, f"--output={tmp_path / 'none'}", *flag.split())
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "pieces").exists()


def test_the_dense_network_alone_is_reported_and_has_no_ticket_to_export(run, tmp_path, capsys):
    arguments = ("--examples=32", "--iterations=2", "--method=dense", f"--output={tmp_path}")
    run(find_ticket, *arguments)
    assert networks(tmp_path) == [(0, "dense")]
    assert "The dense network reaches" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="There is no ticket to export"):
        run(find_ticket, *arguments, "--export")


def test_random_images_and_dropout_are_for_training_alone(run, tmp_path):
    run(
        find_ticket,
        *("--examples=32", "--iterations=2", "--rounds=1", "--controls="),
        *("--augmentation=flip,shift", "--dropout=0.2", "--export", f"--output={tmp_path}"),
    )
    assert set(measures(tmp_path, results(tmp_path)[1])["activations"]) == {"fc1", "fc2"}
    assert (tmp_path / "best.tflite").exists()


def test_an_optimizer_that_keras_does_not_have_is_answered(run, tmp_path):
    with pytest.raises(SystemExit, match="No optimizer 'x'; there are momentum and those of Keras"):
        run(find_ticket, *TINY, "--optimizer=x", "--learning_rate=0.1")


def test_help_names_every_flag_and_what_there_is_and_imports_no_keras():
    code = (
        "import sys; from absl import flags; from experiments import find_ticket; "
        "print(flags.FLAGS.get_help()); assert 'keras' not in sys.modules"
    )
    help_text = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    for name in ("--dataset", "--rewind", "--controls", "--seeds", "--scale", "--[no]export"):
        assert name in help_text
    for name in ("least_change", "synflow", "globally", "conv6", "every_epoch"):
        assert name in help_text
