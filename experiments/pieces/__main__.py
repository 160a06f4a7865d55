"""Looks after trained networks.

  python -m experiments.pieces list
  python -m experiments.pieces explain NAME
  python -m experiments.pieces verify
  python -m experiments.pieces export > pieces.csv
  python -m experiments.pieces remove --keep=runs/ticket,runs/study    (says what; --yes does it)

`remove` removes the networks that no run needs: those that are in no run.json of --keep, and that
no network which stays comes from.
"""

import csv
import glob
import json
import pathlib
import shutil
import sys

from absl import app, flags

import experiments.flags  # noqa: F401 (it defines --pieces)
from experiments.pieces.store import PieceError, Store, StoredPiece
from experiments.script import errors_on_one_line

FLAGS = flags.FLAGS

flags.declare_key_flag("pieces")
flags.DEFINE_list("keep", ["runs/*"], "Folders of the runs whose networks stay; * is a wildcard.")
flags.DEFINE_bool("yes", False, "Remove, not only say what would be removed.")


def every(store: Store) -> dict[str, StoredPiece]:
    """All pieces by name; a damaged one is said and left out."""
    pieces = {}
    for name in sorted(store.names()):
        try:
            pieces[name] = store.look(name)
        except PieceError as error:
            print(error, file=sys.stderr)
    return pieces


def show_list(store: Store) -> None:
    """Prints a line for each piece."""
    for name, piece in every(store).items():
        measures = piece.measures
        left, right = 1 - measures.get("sparsity", 0), measures.get("test_accuracy")
        accuracy = "" if right is None else f"{100 * right:6.2f} % right"
        print(
            f"{name:28} {piece.description['data']:10} seed {piece.description['seed']:<4} "
            f"{100 * left:6.2f} % left {accuracy}"
        )


def explain(store: Store, name: str) -> None:
    """Prints what a piece is and what it comes from, the oldest first."""
    ancestors: dict[str, StoredPiece] = {}

    def add(one: str) -> None:
        if one not in ancestors:
            piece = store.look(one)
            for parent in piece.description["parents"]:
                add(parent)
            ancestors[one] = piece

    add(name)
    for one, piece in ancestors.items():
        print(f"{one}\n{json.dumps(piece.description, indent=2)}")


def verify(store: Store) -> None:
    """Reads every byte; ends with an error if a piece is damaged."""
    damaged = 0
    names = sorted(store.names())
    for name in names:
        try:
            store.load(name)
        except PieceError as error:
            damaged += 1
            print(error)
    if damaged:
        sys.exit(
            f"{damaged} of {len(names)} pieces are damaged: whoever needs one computes it anew."
        )
    print(f"{len(names)} pieces are what was written.")


def export(store: Store) -> None:
    """Writes all pieces as CSV: what they are, and every measure that is one number."""
    pieces = every(store)
    measures = list(
        dict.fromkeys(
            key
            for piece in pieces.values()
            for key, value in piece.measures.items()
            if isinstance(value, int | float | str)
        )
    )
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["piece", "data", "seed", "parents", "definition", *measures])
    for name, piece in pieces.items():
        what = piece.description
        described = [what["data"], what["seed"], " ".join(what["parents"])]
        definition = json.dumps(what["definition"], sort_keys=True)
        values = (piece.measures.get(key) for key in measures)
        writer.writerow([name, *described, definition, *values])


def remove(store: Store, keep: list[str], really: bool) -> None:
    """Removes the pieces that no run needs, or says which they are."""
    runs = [path for pattern in keep for path in glob.glob(f"{pattern}/run.json")]
    if not runs:
        raise ValueError(
            f"`keep` finds no run.json in {', '.join(keep)}: nothing would be left. Name the "
            "folders of the runs that stay."
        )
    needed: set[str] = set()

    def need(name: str) -> None:
        if name in store and name not in needed:
            needed.add(name)
            for parent in store.look(name).description["parents"]:
                need(parent)

    for run in runs:
        for *_, name in json.loads(pathlib.Path(run).read_text())["plan"]:
            need(name)
    others = sorted(store.names() - needed)
    for name in others:
        if really:
            shutil.rmtree(store.set_aside(name))
        print(f"{'removed' if really else 'would remove'} {name}")
    print(f"{len(needed)} stay for {len(runs)} runs.")
    if others and not really:
        print("Nothing was removed: add --yes to do it.")


def main(argv: list[str]) -> None:
    """Does what the command line says."""
    store = Store(FLAGS.pieces)
    with errors_on_one_line("pieces", ValueError, OSError):
        match argv[1:]:
            case ["list"]:
                show_list(store)
            case ["explain", name]:
                explain(store, name)
            case ["verify"]:
                verify(store)
            case ["export"]:
                export(store)
            case ["remove"]:
                remove(store, FLAGS.keep, FLAGS.yes)
            case _:
                raise ValueError("Say list, explain NAME, verify, export or remove; see --help.")


if __name__ == "__main__":
    app.run(main)
