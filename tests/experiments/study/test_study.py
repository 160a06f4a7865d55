"""Studies from the command line, by one worker."""

import csv
import dataclasses

import pytest

pytest.importorskip("optuna", reason="pip install '.[study]'")

from experiments.pieces.store import Store
from experiments.study import __main__ as script
from experiments.study import definition, storage, worker
from experiments.study.outcome import Outcome

TEXT = """
name = "tiny"
remaining = [0.8, 0.5]
[settings]
examples = 32
iterations = 2
rounds = 4
controls = []
[grid]
criterion = ["large_final", "random"]
rate = [0.2, 0.4]
"""


@pytest.fixture
def study(run, tmp_path):
    """Runs a study of a text."""

    def study(text, *arguments):
        path = tmp_path / "study.toml"
        path.write_text(text)
        run(script, f"--study={path}", f"--output={tmp_path / 'out'}", *arguments)

    return study


def trials(tmp_path, text=TEXT):
    path = tmp_path / "again.toml"
    path.write_text(text)
    defined = definition.read(path)
    return Outcome.of(defined, storage.join(defined, tmp_path / "out", None))


def test_all_points_are_tried_once_and_share_the_dense_network(study, tmp_path, capsys):
    study(TEXT)
    found = trials(tmp_path).trials
    assert sorted((t.params["criterion"], t.params["rate"]) for t in found) == [
        ("large_final", 0.2),
        ("large_final", 0.4),
        ("random", 0.2),
        ("random", 0.4),
    ]
    # Rounds as far as half of the weights takes: four at a rate of 0.2, two at 0.4.
    assert len(Store(tmp_path / "pieces").names()) == 1 + 2 * (4 + 2)
    output = capsys.readouterr().out
    assert "The best of 4 trials is" in output
    assert "This worker found 0 networks and trained 13" in output
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        assert len({line["variant"] for line in csv.DictReader(file)}) == 5
    assert (tmp_path / "out" / "accuracy.png").exists()
    study(TEXT)
    assert "trained 0" in capsys.readouterr().out


def test_another_definition_of_the_same_name_is_refused(tmp_path):
    trials(tmp_path)
    with pytest.raises(ValueError, match=r"study 'tiny' with another definition: grid: .*0\.3"):
        trials(tmp_path, TEXT.replace("0.4", "0.3"))


def test_a_database_that_cannot_be_reached_is_one_line(study):
    with pytest.raises(SystemExit, match=r"^study: The database sqlite:////none/x.db cannot be"):
        study(TEXT, "--storage=sqlite:////none/x.db")


def test_sqlite_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    read_text = type(tmp_path).read_text

    def mounts(self, *arguments, **named):
        if str(self) == "/proc/mounts":
            return f"disk / ext4 rw 0 0\nserver {tmp_path} nfs4 rw 0 0\n"
        return read_text(self, *arguments, **named)

    monkeypatch.setattr(type(tmp_path), "read_text", mounts)
    with pytest.raises(definition.StudyError, match=r"network file system \(nfs4\)"):
        storage.join(None, tmp_path / "out", None)


@pytest.mark.long
def test_rounds_that_do_not_come_down_so_far_are_said(study):
    with pytest.raises(SystemExit, match=r"does not come down to 0.05 of the weights in 4 rounds"):
        study(TEXT.replace("[0.8, 0.5]", "[0.05]"))


@pytest.mark.long
def test_ranges_are_drawn(study, tmp_path):
    text = TEXT.split("[grid]")[0] + "[ranges]\nrate = {low = 0.3, high = 0.5}\n"
    text = "trials = 3\n" + text.replace("rounds = 4", "rounds = 3")
    study(text)
    rates = [trial.params["rate"] for trial in trials(tmp_path, text).trials]
    assert len(set(rates)) == 3
    assert all(0.3 <= rate <= 0.5 for rate in rates)


@pytest.mark.long
def test_halving_ends_trials_early_and_says_what_it_might_have_missed(study, tmp_path, capsys):
    text = TEXT.replace("rate = [0.2, 0.4]", "rate = [0.2, 0.3, 0.4, 0.5]")
    study("halving = true\n" + text)
    found = trials(tmp_path, "halving = true\n" + text).trials
    assert len(found) == 8
    output = " ".join(capsys.readouterr().out.split())
    early = [trial for trial in found if len(trial.intermediate_values) == 1]
    assert early
    assert f"{len(early)} of 8 trials were ended early" in output
    assert "iterations were not trained" in output


@pytest.mark.long
def test_a_phone_is_asked_for_bytes_and_milliseconds(study, tmp_path, capsys):
    text = 'objective = "phone"\n' + TEXT.replace('"large_final", "random"', '"large_final"')
    study(text)
    outcome = trials(tmp_path, text)
    assert len(outcome.trials) == 2
    for trial in outcome.trials:
        accuracy, size, milliseconds = trial.values
        assert size == (tmp_path / "out" / f"trial-{trial.number:03}.tflite").stat().st_size
        assert 0 <= accuracy <= 1
        assert milliseconds > 0
    assert outcome.front()
    assert "on the Pareto front" in capsys.readouterr().out


def test_a_trial_that_is_none_of_the_grid_trains_nothing(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TEXT)
    defined = definition.read(path)
    study = storage.join(defined, tmp_path / "out", None)
    one = worker.Worker(defined, study, Store(tmp_path / "pieces"), None, None, tmp_path)
    for _ in range(4):  # as if other workers had taken all of the queue a moment ago
        with pytest.warns(UserWarning, match="Heartbeat"):
            study.ask()
    study.optimize(one._run, n_trials=1, catch=(worker._NotPlanned,))
    assert Store(tmp_path / "pieces").names() == set()


@pytest.mark.long
def test_a_trial_that_diverges_is_said_each_time_and_the_others_go_on(study, tmp_path, capsys):
    text = TEXT.split("[grid]")[0] + "[grid]\nlearning_rate = [0.003, 1e30]\n"
    for _ in range(2):
        study(text)
        output = " ".join(capsys.readouterr().out.split())
        assert "No result of learning_rate=1e+30: Training diverged" in output
        assert "The best of 1 trials is learning_rate=0.003" in output


@pytest.mark.long
def test_dense_networks_that_were_trained_otherwise_are_not_averaged(study, tmp_path):
    study(TEXT.split("[grid]")[0] + "[grid]\nbatch_size = [8, 16]\n")
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        dense = [line for line in csv.DictReader(file) if line["round"] == "0"]
    assert len(dense) == len({line["piece"] for line in dense}) == 2
    assert sorted(line["variant"] for line in dense)[1] == "dense"


def test_the_front_is_what_no_other_is_better_than():
    trial = dataclasses.make_dataclass("Trial", ["values", "state"])
    values = [(0.9, 100.0, 1.0), (0.8, 50.0, 1.0), (0.7, 60.0, 2.0), (0.9, 100.0, 1.0)]
    outcome = Outcome(None, [trial(one, None) for one in values])
    assert [one.values for one in outcome.front()] == [values[0], values[1], values[3]]
