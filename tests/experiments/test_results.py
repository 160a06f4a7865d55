import dataclasses
import json

import pytest

from experiments.results import Result, ResultsError, Run

RESULT = Result(
    index=7,
    variant="ticket",
    seed=0,
    sparsity=0.79,
    alive_counts={"fc1/kernel": 49325, "fc2/kernel": 6291, "output/kernel": 478},
    train_loss=0.01,
    train_accuracy=0.999,
    validation_loss=0.07,
    validation_accuracy=0.983,
    test_loss=0.08,
    test_accuracy=0.984,
    early_stopping_iteration=5300,
    early_stopping_accuracy=0.985,
    iterations=12000,
    seconds=4.2,
    fused="xla",
)
FLAGS = {"dataset": "mnist", "rounds": 15}


def changed(**fields):
    return dataclasses.replace(RESULT, **fields)


def test_a_run_continues_where_it_was(tmp_path):
    Run(tmp_path, FLAGS).add(RESULT)
    run = Run(tmp_path, FLAGS)
    run.add(changed(index=8))
    assert Run(tmp_path, FLAGS).results == [RESULT, changed(index=8)]
    assert run.find("ticket", 0, 8) == changed(index=8)
    assert run.find("ticket", 1, 8) is None
    assert run.find("reinit", 0, 8) is None


def test_a_line_is_plain_json(tmp_path):
    Run(tmp_path, FLAGS).add(RESULT)
    [line] = (tmp_path / "results.jsonl").read_text().splitlines()
    assert json.loads(line) == dataclasses.asdict(RESULT)


def test_an_unfinished_line_is_cut_off_and_the_next_is_whole(tmp_path):
    Run(tmp_path, FLAGS).add(RESULT)
    path = tmp_path / "results.jsonl"
    path.write_bytes(path.read_bytes() + b'{"index": 8, "vari')
    run = Run(tmp_path, FLAGS)
    assert run.results == [RESULT]
    run.add(changed(index=8))
    assert Run(tmp_path, FLAGS).results == [RESULT, changed(index=8)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 2 is not JSON"),
        ('{"round": 3}', "line 2 is not a result: its fields should be index, variant"),
        ("[1, 2]", "line 2 is not a result"),
        (json.dumps(dataclasses.asdict(changed(seed="one"))), "line 2: seed should be int"),
        (json.dumps(dataclasses.asdict(changed(index=True))), "line 2: index should be int"),
        (json.dumps(dataclasses.asdict(changed(test_loss="0.1"))), "test_loss should be float"),
        (
            json.dumps(dataclasses.asdict(changed(alive_counts={"fc": 1.5}))),
            "alive_counts should be dict",
        ),
    ],
)
def test_a_foreign_line_is_an_error_that_names_it(tmp_path, line, message):
    Run(tmp_path, FLAGS).add(RESULT)
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(ResultsError, match=message):
        Run(tmp_path, FLAGS)


def test_a_folder_of_other_flags_is_an_error(tmp_path):
    Run(tmp_path, FLAGS).add(RESULT)
    with pytest.raises(ResultsError, match=r"other flags: --rounds=15 \(now 5\)\."):
        Run(tmp_path, FLAGS | {"rounds": 5})


def test_flags_without_results_give_way_to_others(tmp_path):
    Run(tmp_path, FLAGS)
    Run(tmp_path, FLAGS | {"rounds": 5}).add(RESULT)
    assert json.loads((tmp_path / "flags.json").read_text())["flags"]["rounds"] == 5


@pytest.mark.parametrize("content", ["", "[]", '{"flags": 3}', "{}"])
def test_a_damaged_flags_file_is_an_error(tmp_path, content):
    (tmp_path / "flags.json").write_text(content)
    with pytest.raises(ResultsError, match="not the flags of a run"):
        Run(tmp_path, FLAGS)


def test_results_without_flags_are_an_error(tmp_path):
    (tmp_path / "results.jsonl").write_text("")
    with pytest.raises(ResultsError, match="has no flags"):
        Run(tmp_path, FLAGS)
