import hashlib
import json
import threading

import keras
import pytest
import sample_plans

from experiments import engine, methods, training
from experiments.engine import Engine
from experiments.networks import digits_mlp
from experiments.pieces import versions
from experiments.pieces.store import PieceError, Store


@pytest.fixture(scope="module")
def plan():
    return sample_plans.small()


@pytest.fixture(scope="module")
def computed(plan, tmp_path_factory):
    """A store in which the plan was computed, which tests leave as it is."""
    folder = tmp_path_factory.mktemp("computed")
    notes = plan.run(folder)
    return folder, notes


@pytest.fixture
def store(plan, computed, tmp_path):
    """A copy of it."""
    folder = tmp_path / "store"
    folder.mkdir()
    for name in plan.names():
        copy(computed[0] / name, folder / name)
    return Store(folder)


def copy(source, target):
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())


def test_every_network_is_computed_once_and_then_found(plan, computed, monkeypatch):
    folder, notes = computed
    networks = [("dense", 0), ("ticket", 1), ("ticket", 2), ("reinit", 2)]
    assert notes.computed == networks
    assert notes.done == notes.missing == 4 * 3
    monkeypatch.setattr(training.Trainer, "train", pytest.fail)
    again = plan.run(folder)
    assert (again.computed, again.found, again.missing) == ([], networks, 0)


def test_nothing_but_pieces_is_left(plan, computed):
    assert {path.name for path in computed[0].iterdir()} == set(plan.names())


def test_measures_are_what_the_papers_look_at(plan, computed):
    measured = Store(computed[0]).look(plan.names()[1]).measures
    assert measured["alive_counts"] == {
        "fc1/kernel": 6554,
        "fc2/kernel": 6554,
        "output/kernel": 576,
    }
    assert 0 < measured["moved_alive"] < 0.05
    assert 0 < measured["moved_pruned"] < 0.05
    assert set(measured["sign_flips"]) == set(measured["alive_counts"])
    # A fifth of the weights is pruned, the smallest: activations hardly change.
    for dense, masked in measured["activations"].values():
        assert 0.9 * dense < masked < 1.1 * dense


def test_the_curve_has_every_evaluation(plan, computed):
    lines = (computed[0] / plan.names()[0] / "curve.csv").read_text().splitlines()
    assert lines[0] == "iteration,validation_loss,validation_accuracy"
    assert [line.split(",")[0] for line in lines[1:]] == ["3"]


@pytest.mark.parametrize("file", ["measures.json", "trained"])
def test_a_damaged_parent_is_set_aside_and_computed_again(plan, computed, store, file):
    _, first, last, control = plan.names()
    for name in (last, control):
        for path in (store.folder / name).iterdir():
            path.unlink()
        (store.folder / name).rmdir()
    damaged = store.folder / first / file
    damaged.write_bytes(damaged.read_bytes()[:-3] + b"\0\0\0")
    notes = plan.run(store.folder)
    assert any(str(damaged) in message and "set aside" in message for message in notes.said)
    for name in plan.names():
        assert sample_plans.content(store.folder, name) == sample_plans.content(computed[0], name)
    assert len(list((store.folder / ".set_aside").iterdir())) == 1


def test_what_came_from_other_weights_of_a_damaged_piece_is_set_aside_too(plan, store):
    dense, first, *_ = plan.names()
    # As if the first round had been made from other weights of the dense network.
    path = store.folder / first / "piece.json"
    described = json.loads(path.read_text())
    described["parents"][dense] = "0" * 64
    path.write_text(json.dumps(described))
    sums = store.folder / first / "SHA256SUMS"
    lines = sums.read_text().splitlines()
    lines[0] = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  piece.json"
    sums.write_text("\n".join(lines) + "\n")
    (store.folder / dense / "measures.json").write_text("{}")
    notes = plan.run(store.folder)
    assert any(message.startswith(f"{first} came from other weights") for message in notes.said)
    assert all(name in store for name in plan.names())


def test_other_versions_are_one_error_and_a_flag(plan, store, monkeypatch):
    control = plan.names()[-1]
    for path in (store.folder / control).iterdir():
        path.unlink()
    (store.folder / control).rmdir()
    here = versions.here("tensorflow")
    monkeypatch.setattr(versions, "here", lambda backend: here | {"keras": "3.99"})
    message = rf"was made with keras {here['keras']} \(now 3.99\): .*--other_versions"
    with pytest.raises(PieceError, match=message):
        plan.run(store.folder)
    assert plan.run(store.folder, other_versions=True).computed == [("reinit", 2)]


def test_a_network_whose_file_was_edited_is_not_taken_for_the_old_one(plan, store, monkeypatch):
    build = digits_mlp.build

    def edited(shape, classes, seed=0):
        network = build(shape, classes, seed)
        network.get_layer("fc2").activation = keras.activations.tanh
        return network

    monkeypatch.setattr(digits_mlp, "build", edited)
    with pytest.raises(PieceError, match="was trained when network 'digits_mlp' was another one"):
        sample_plans.small().run(store.folder)


def test_a_checkpoint_of_other_versions_is_not_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "CHECKPOINT_EVERY", 0.0)
    plan = sample_plans.small(method="dense", iterations=6)

    def killed(self, epoch, logs=None, end=training.Evaluations.on_epoch_end):
        end(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.Evaluations, "on_epoch_end", killed)
        with pytest.raises(KeyboardInterrupt):
            plan.run(tmp_path)
    here = versions.here("tensorflow")
    monkeypatch.setattr(versions, "here", lambda backend: here | {"keras": "3.99"})
    notes = plan.run(tmp_path)
    assert any("begins anew: its checkpoint is of other versions" in text for text in notes.said)
    assert notes.done == notes.missing == 6


def test_a_finished_plan_is_read_whatever_the_versions(plan, store, monkeypatch):
    here = versions.here("tensorflow")
    monkeypatch.setattr(versions, "here", lambda backend: here | {"keras": "3.99"})
    assert len(plan.run(store.folder).found) == 4


def test_what_another_process_computes_is_left_to_it(plan, computed, tmp_path):
    store = Store(tmp_path / "shared")
    dense = plan.names()[0]
    notes = sample_plans.Notes()
    with store.lock(dense):
        run = threading.Thread(
            target=lambda: Engine(plan.experiment, Store(store.folder), notes).run(plan.networks)
        )
        run.start()
        while not notes.said:
            run.join(0.01)
        assert notes.computed == []
        copy(computed[0] / dense, store.folder / dense)
    run.join()
    assert "is computed by process" in notes.said[0]
    assert notes.found == [("dense", 0)]
    assert notes.computed == [("ticket", 1), ("ticket", 2), ("reinit", 2)]
    assert notes.done == notes.missing


@pytest.mark.parametrize(
    "method", [pytest.param("iterative", marks=pytest.mark.long), "every_epoch"]
)
def test_a_long_piece_goes_on_from_its_checkpoint(tmp_path, monkeypatch, method):
    plan = sample_plans.small(
        method=method, iterations=6, rounds=1, controls=(), criterion="movement"
    )
    plan.run(tmp_path / "whole")
    monkeypatch.setattr(engine, "CHECKPOINT_EVERY", 0.0)
    saves = []

    def killed(self, epoch, logs=None, end=training.Evaluations.on_epoch_end):
        end(self, epoch, logs)
        saves.append(epoch)
        if len(saves) in (3, 9):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.Evaluations, "on_epoch_end", killed)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                plan.run(tmp_path / "parts")
        notes = plan.run(tmp_path / "parts")
    assert any("goes on from epoch" in message for message in notes.said)
    assert len(saves) == 12
    for name in plan.names():
        whole, parts = (sample_plans.content(tmp_path / f, name) for f in ("whole", "parts"))
        assert whole == parts
    assert {path.name for path in (tmp_path / "parts").iterdir()} == set(plan.names())


@pytest.mark.long
def test_a_half_written_checkpoint_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "CHECKPOINT_EVERY", 0.0)
    plan = sample_plans.small(rounds=1, controls=(), iterations=6)
    plan.run(tmp_path / "whole")
    store = Store(tmp_path / "parts")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        saved = []

        def save(progress):
            saved.append(progress)
            if len(saved) == 4:
                raise KeyboardInterrupt

        train = training.Trainer.train
        patch.setattr(
            training.Trainer,
            "train",
            lambda self, *a: train(self, *a[:-1], lambda p: (a[-1](p), save(p))),
        )
        plan.run(store.folder)
    files = sorted(
        store.checkpoint_folder(plan.names()[0]).iterdir(), key=lambda path: path.stat().st_mtime_ns
    )
    files[-1].write_bytes(files[-1].read_bytes()[:1000])
    plan.run(store.folder)
    for name in plan.names():
        assert sample_plans.content(store.folder, name) == sample_plans.content(
            tmp_path / "whole", name
        )


def test_a_rewind_point_is_a_piece_that_rounds_share(tmp_path):
    plan = sample_plans.small(rewind="step:2", iterations=4)
    notes = plan.run(tmp_path)
    # Four of the plan, and the dense network at iteration 2.
    assert len(Store(tmp_path).names()) == 5
    # The control is drawn anew, and trained from the start; tickets train what is left.
    assert notes.done == notes.missing == 4 + 2 + 2 * 2 + 4


def test_a_full_disk_leaves_nothing_half_written(plan, tmp_path, monkeypatch):
    from experiments.pieces import store as stores

    def full(path, content):
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(stores, "_write", full)
        with pytest.raises(OSError, match="No space left"):
            plan.run(tmp_path)
    assert Store(tmp_path).names() == set()
    assert len(plan.run(tmp_path).computed) == 4


def test_every_method_plans_networks_whose_parents_come_first():
    for name in methods.names():
        plan = sample_plans.small(method=name)
        seen = set()
        for planned in plan.networks:
            before = [p.name for p in planned.piece.parents if getattr(p, "until", None) is None]
            assert seen.issuperset(before)
            seen.add(planned.piece.name)


# Those of which another one, or a longer test, has the like.
LONG = {
    "supermask",
    "iterative",
    "at_initialisation",
    "biprop",
    "edge_popup",
    "one_shot",
    "every_epoch",
    "dense",
}
METHODS = [
    pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in methods.names()
]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_ends_in_tickets_with_controls(tmp_path, name):
    plan = sample_plans.small(method=name, rounds=1, iterations=2, scored_images=8)
    plan.run(tmp_path)
    store = Store(tmp_path)
    for planned in plan.networks:
        stored = store.load(planned.piece.name)
        ticket = stored.ticket()
        model = training.make_model(plan.experiment, 0)
        assert ticket.apply(model).alive_counts == stored.measures["alive_counts"]
        if planned.variant == "reinit":
            ticket_of = store.look(planned.piece.parents[0].name)
            assert ticket_of.measures["alive_counts"] == stored.measures["alive_counts"]


@pytest.mark.parametrize("criterion", ["snip", pytest.param("synflow", marks=pytest.mark.long)])
def test_scorers_prune_at_initialisation(tmp_path, criterion):
    plan = sample_plans.small(
        method="at_initialisation",
        rounds=1,
        controls=(),
        criterion=criterion,
        scope="globally",
        scored_images=8,
    )
    notes = plan.run(tmp_path)
    assert notes.computed == [("dense", 0), ("ticket", 1)]
    measured = Store(tmp_path).look(plan.names()[1]).measures
    assert measured["sparsity"] == pytest.approx(0.2, abs=0.01)
