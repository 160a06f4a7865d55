import csv
import io
import json

import pytest

from experiments import settings
from experiments.results import Result, ResultsError, Run, as_csv

RESULT = Result(
    "ticket",
    7,
    0,
    "pruned-1",
    {"sparsity": 0.79, "test_accuracy": 0.984, "alive_counts": {"fc1/kernel": 49325}},
)


def test_a_table_has_a_column_for_each_measure_that_is_one_number():
    other = Result("dense", 0, 0, "dense-1", {"sparsity": 0.0, "a new one": 3})
    lines = list(csv.DictReader(io.StringIO(as_csv([RESULT, other]))))
    assert lines == [
        {
            "variant": "ticket",
            "round": "7",
            "seed": "0",
            "piece": "pruned-1",
            "sparsity": "0.79",
            "test_accuracy": "0.984",
            "a new one": "",
        },
        {
            "variant": "dense",
            "round": "0",
            "seed": "0",
            "piece": "dense-1",
            "sparsity": "0.0",
            "test_accuracy": "",
            "a new one": "3",
        },
    ]


def test_what_remains_is_what_is_not_pruned():
    assert RESULT.remaining == pytest.approx(0.21)


def test_a_run_writes_down_what_was_asked_for(tmp_path):
    chosen = settings.make(rounds=2)
    Run(tmp_path).describe({"settings": chosen.to_json()}, [RESULT])
    written = json.loads((tmp_path / "run.json").read_text())
    assert settings.Settings.from_json(written["settings"]) == chosen
    assert written["plan"] == [["ticket", 7, 0, "pruned-1"]]


def test_a_folder_of_the_first_edition_is_refused(tmp_path):
    (tmp_path / "results.jsonl").touch()
    with pytest.raises(ResultsError, match="first edition"):
        Run(tmp_path)
