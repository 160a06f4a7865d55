import csv
import io
import json

import pytest
import sample_plans
from absl import flags
from absl.testing import flagsaver

from experiments.pieces import __main__ as command
from experiments.pieces.store import Store


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("computed")
    plan = sample_plans.small(rounds=1)
    plan.run(folder / "pieces")
    return folder / "pieces", plan


@pytest.fixture
def call(computed, capsys):
    def call(*arguments):
        with flagsaver.flagsaver():
            left = flags.FLAGS(["pieces", f"--pieces={computed[0]}", *arguments])
            command.main(left)
        return capsys.readouterr().out

    return call


def test_the_list_has_a_line_for_each(call, computed):
    lines = call("list").splitlines()
    assert {line.split()[0] for line in lines} == set(computed[1].names())
    assert all("digits" in line and "% right" in line for line in lines)


def test_an_ancestry_is_explained_the_oldest_first(call, computed):
    dense, ticket, control = computed[1].names()
    output = call("explain", control)
    assert output.index(f"{dense}\n") < output.index(f"{ticket}\n") < output.index(f"{control}\n")
    assert '"control": "reinit"' in output


def test_all_are_verified(call, computed):
    assert call("verify") == "3 pieces are what was written.\n"


def test_a_damaged_one_ends_in_an_error(tmp_path, call, computed):
    name = computed[1].names()[0]
    copy = tmp_path / name
    copy.mkdir()
    for file in (computed[0] / name).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "ticket").write_bytes(b"no ticket")
    with pytest.raises(SystemExit, match="1 of 1 pieces are damaged"):
        call("verify", f"--pieces={tmp_path}")


def test_the_export_is_csv(call, computed):
    lines = list(csv.DictReader(io.StringIO(call("export"))))
    assert {line["piece"] for line in lines} == set(computed[1].names())
    assert all(0 <= float(line["test_accuracy"]) <= 1 for line in lines)
    assert {json.loads(line["definition"]).get("control") for line in lines} == {None, "reinit"}


def test_what_no_run_needs_is_removed_and_said_before(tmp_path, call, computed):
    dense, ticket, control = computed[1].names()
    store = Store(tmp_path / "pieces")
    for name in computed[1].names():
        (store.folder / name).mkdir(parents=True)
        for file in (computed[0] / name).iterdir():
            (store.folder / name / file.name).write_bytes(file.read_bytes())
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"plan": [["ticket", 1, 0, ticket]]}))
    arguments = ("remove", f"--pieces={store.folder}", f"--keep={run}")
    assert f"would remove {control}" in call(*arguments)
    assert len(store.names()) == 3
    assert f"removed {control}" in call(*arguments, "--yes")
    assert store.names() == {dense, ticket}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "^pieces: Say list"),
        (["explain", "dense-0"], "^pieces: .*dense-0.*No such file"),
        (["remove", "--keep=/none"], "^pieces: `keep` finds no run.json in /none"),
    ],
)
def test_a_wrong_line_is_answered(call, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call(*arguments)
