"""`Engine`: computes the pieces of a plan that are not there yet, and leaves the others alone."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import keras_lottery as kl
from experiments.bench import Bench
from experiments.experiment import Experiment
from experiments.methods import Planned
from experiments.pieces import versions
from experiments.pieces.checkpoint import Checkpoint
from experiments.pieces.piece import Piece
from experiments.pieces.store import PieceError, Store, StoredPiece
from experiments.training import Progress
from keras_lottery.tickets import file as ticket_file

CHECKPOINT_EVERY = 60.0  # seconds
_POLL = 0.2  # seconds, while another process computes


class Listener(Protocol):
    """What an engine tells on the way."""

    def begin(self, iterations: int) -> None:
        """A run begins, in which so many iterations are missing."""

    def advance(self, iterations: int) -> None:
        """Iterations were done, here or by another process."""

    def announce(self, planned: Planned, stored: StoredPiece, found: bool) -> None:
        """A network of the plan is there: found, or computed now."""

    def say(self, message: str) -> None:
        """Something that a reader should know."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """Trains, measures and keeps pieces.

    Args:
        experiment: The `Experiment` that the pieces belong to.
        store: Where pieces are kept.
        listener: Who is told.
        other_versions: Whether to go on from pieces that were made with other versions.
        kept: The number of benches, one for each seed, that are kept for later runs.
    """

    experiment: Experiment
    store: Store
    listener: Listener
    other_versions: bool = False
    kept: int = 1
    _benches: dict[int, Bench] = dataclasses.field(default_factory=dict)
    _missing: set[str] = dataclasses.field(default_factory=set)
    _damaged: set[str] = dataclasses.field(default_factory=set)

    def run(self, plan: Sequence[Planned]) -> None:
        """Compute every piece of a plan that is not in the store.

        A piece that another process computes is left to it; meanwhile this one takes others.

        Args:
            plan: Networks, each after those that it comes from.

        Raises:
            PieceError: If a piece was made with other versions.
            ValueError: If a training diverges.
        """
        self.store.tidy()
        waiting = _parents_first(self._ancestors(plan), plan)
        missing = [piece for piece, _ in waiting if piece.name not in self.store]
        self._missing.update(piece.name for piece in missing)
        self.listener.begin(sum(piece.iterations for piece in missing))
        dead: set[str] = set()  # they cannot be trained, or come from one that cannot
        said = None
        while waiting:
            left = []
            for piece, planned in waiting:
                if any(parent.name in dead for parent in piece.parents):
                    dead.add(piece.name)
                    continue
                found = piece.name in self.store
                stored = self._take(piece)
                if stored is None:
                    left.append((piece, planned))
                    continue
                for one in planned:
                    self.listener.announce(one, stored, found)
                empty = [k for k, n in stored.measures.get("alive_counts", {}).items() if not n]
                if empty:
                    dead.add(piece.name)
                    self.listener.say(
                        f"seed {piece.seed}: no weight is left of {', '.join(empty)} in "
                        f"{piece.name}, and nothing is pruned further from there."
                    )
            if len(left) == len(waiting):
                first = left[0][0].name
                if said != first:
                    self.listener.say(f"{first} is computed by {self.store.who_computes(first)}.")
                    said = first
                time.sleep(_POLL)
            waiting = left

    def _ancestors(self, plan: Iterable[Planned]) -> list[Piece]:
        """The pieces that those of the plan still come from."""
        ancestors: dict[str, Piece] = {}

        def look(piece: Piece) -> None:
            if piece.name not in self.store:
                for parent in piece.parents:
                    ancestors.setdefault(parent.name, parent)
                    look(parent)

        for planned in plan:
            look(planned.piece)
        return list(ancestors.values())

    def _take(self, piece: Piece) -> StoredPiece | None:
        """The stored piece, computed if need be, or `None` where that is not possible yet."""
        stored = self._found(piece)
        if stored is not None:
            return stored
        with self.store.lock(piece.name) as mine:
            if not mine:
                return None
            # Another process may have kept it a moment ago.
            stored = self._found(piece)
            if stored is not None:
                return stored
            if not self._parents_are_whole(piece):
                return None
            self._compute(piece)
        if piece.name in self._damaged:
            self._check_children(piece)
        return self.store.look(piece.name)

    def _found(self, piece: Piece) -> StoredPiece | None:
        if piece.name not in self.store:
            return None
        try:
            stored = self.store.look(piece.name)
        except PieceError as error:
            self._set_aside(piece, error)
            return None
        self._refuse_another_network(stored)
        if self._missing:  # new pieces will stand beside it
            self._refuse_other_versions(stored)
        if piece.name in self._missing:  # it was, when the run began: another process has done it
            self._missing.discard(piece.name)
            self.listener.advance(piece.iterations)
        return stored

    def _parents_are_whole(self, piece: Piece) -> bool:
        """Whether all parents are there, undamaged, and of these versions."""
        for parent in piece.parents:
            if parent.name in self.store:
                try:
                    stored = self.store.load(parent.name)
                except PieceError as error:
                    self._set_aside(parent, error)
            if parent.name not in self.store:
                # It was damaged, or another process set it aside: it may have been done with here.
                self._take(parent)
                return False
            self._refuse_another_network(stored)
            self._refuse_other_versions(stored)
        return True

    def _refuse_other_versions(self, stored: StoredPiece) -> None:
        now = versions.here(self.experiment.training.backend)
        others = versions.differences(stored.description["versions"], now)
        if others and not self.other_versions:
            raise PieceError(
                f"{stored.name} was made with {', '.join(others)}: going on from it gives other "
                "bits than a run in one go. Pass --other_versions to go on all the same, or "
                "another --pieces to begin anew."
            )

    def _refuse_another_network(self, stored: StoredPiece) -> None:
        if stored.description["network"] != self.experiment.network_digest:
            raise PieceError(
                f"{stored.name} was trained when network {self.experiment.training.network!r} was "
                "another one: give the changed network another name, or pass another --pieces."
            )

    def _set_aside(self, piece: Piece, error: PieceError) -> None:
        aside = self.store.set_aside(piece.name)
        self._damaged.add(piece.name)
        self.listener.say(f"{error} It is set aside in {aside} and computed again.")

    def _check_children(self, parent: Piece) -> None:
        """Set aside what came from other weights than a piece has now."""
        digest = self.store.load(parent.name).digest()
        for name in sorted(self.store.names()):
            try:
                known = self.store.look(name).description["parents"].get(parent.name)
            except PieceError:
                continue  # It is named when somebody needs it.
            if known is not None and known != digest:
                aside = self.store.set_aside(name)
                self.listener.say(
                    f"{name} came from other weights of {parent.name}: set aside in {aside}."
                )

    def _compute(self, piece: Piece) -> None:
        bench = self._bench(piece.seed)
        checkpoint = Checkpoint(self.store.checkpoint_folder(piece.name), CHECKPOINT_EVERY)
        beginning = piece.begin(bench)
        saved = checkpoint.read()
        if saved is not None and saved[2]["made_with"] != self._made_with():
            self.listener.say(
                f"{piece.name} begins anew: its checkpoint is of other versions or another network."
            )
            saved = None
        resumed = None
        if saved is not None:
            resumed = bench.resume(*saved)
            done = (resumed.epoch - beginning.initial_epoch) * self.experiment.steps
            self.listener.advance(done)
            self.listener.say(f"{piece.name} goes on from epoch {resumed.epoch}.")
        trainer = bench.trainer_of(beginning.network)
        trained = trainer.train(
            beginning.callbacks,
            beginning.first,
            beginning.initial_epoch,
            beginning.last,
            resumed,
            # A network around the bench's is trained anew if it is interrupted.
            lambda progress: (
                beginning.network
                or checkpoint.write_if_due(lambda: self._checkpoint(bench, progress))
            ),
        )
        measured = trainer.measure(trained)
        if beginning.network is not None:
            bench.adopt(beginning.network.ticket)
        lottery = bench.lottery
        lottery.check()
        numbers = {
            "sparsity": lottery.sparsity,
            "alive_counts": lottery.alive_counts,
            **measured,
            **beginning.measures,
            "moved_alive": bench.moved(bench.kernels(), lottery.masks),
            "sign_flips": lottery.sign_flips,
        }
        self.store.write(piece, self._files(piece, bench, numbers, trained.progress.curve))
        checkpoint.remove()
        self._missing.discard(piece.name)

    def _checkpoint(self, bench: Bench, progress: Progress) -> tuple[dict, dict, dict]:
        masks, arrays, numbers = bench.save(progress)
        return masks, arrays, {**numbers, "made_with": self._made_with()}

    def _made_with(self) -> dict[str, str]:
        """What decides the bits of a training and is in no piece's name."""
        here = versions.here(self.experiment.training.backend)
        decisive = {k: v for k, v in here.items() if k not in versions.FOR_THE_RECORD}
        return {**decisive, "network": self.experiment.network_digest}

    def _files(
        self, piece: Piece, bench: Bench, numbers: dict[str, Any], curve: Sequence
    ) -> dict[str, bytes]:
        lottery = bench.lottery
        lottery.record_search(piece.search())
        # Not the time that it took, so that the same search leaves the same tickets.
        history = [{name: value for name, value in numbers.items() if name != "seconds"}]
        ticket = kl.Ticket.of(lottery, rounds=piece.depth, history=history)
        arrays, step = bench.trained(
            optimizer=piece.keeps_optimizer, previous=piece.prunes_in_training
        )
        description = {
            "definition": piece.definition,
            "parents": {p.name: self.store.load(p.name).digest() for p in piece.parents},
            "seed": piece.seed,
            "data": self.experiment.dataset.name,
            "network": self.experiment.network_digest,
            "versions": versions.here(self.experiment.training.backend),
        }
        return {
            "piece.json": _json(description),
            "measures.json": _json(numbers),
            "curve.csv": _csv(curve),
            "ticket": ticket_file.encode(ticket.masks, ticket.values, ticket.metadata),
            "trained": ticket_file.encode({}, arrays, {"step": step}),
        }

    def _bench(self, seed: int) -> Bench:
        # Few at a time: a bench holds a compiled model and the data.
        if seed not in self._benches:
            while len(self._benches) >= self.kept:
                del self._benches[next(iter(self._benches))]
            self._benches[seed] = Bench(self.experiment, seed, self.store, self.listener.advance)
        return self._benches[seed]


def _parents_first(
    ancestors: Iterable[Piece], plan: Iterable[Planned]
) -> list[tuple[Piece, list[Planned]]]:
    """The pieces with what they are in the plan, in its order, each after its parents."""
    wanted = {piece.name: (piece, []) for piece in ancestors}
    for planned in plan:
        wanted.setdefault(planned.piece.name, (planned.piece, []))[1].append(planned)
    ordered: dict[str, tuple[Piece, list[Planned]]] = {}

    def add(piece: Piece) -> None:
        if piece.name in wanted and piece.name not in ordered:
            for parent in piece.parents:
                add(parent)
            ordered[piece.name] = wanted[piece.name]

    for planned in plan:
        add(planned.piece)
    return list(ordered.values())


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _csv(curve: Sequence) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("iteration", "validation_loss", "validation_accuracy"), *curve])
    return text.getvalue().encode()
