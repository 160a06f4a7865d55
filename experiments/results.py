"""The results of a plan: what its pieces measured, by what they are in the plan."""

import csv
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from experiments.methods import Planned
from experiments.pieces.store import Store
from keras_lottery.core import atomic_file


class ResultsError(ValueError):
    """A run's folder holds something that this run did not write."""


@dataclasses.dataclass(frozen=True)
class Result:
    """A trained network of a plan.

    Args:
        variant: What it is in the plan.
        index: The round; 0 is the dense network.
        seed: The seed, the same for all networks that it is compared with.
        piece: The name of its piece.
        measures: Numbers by name; any may be missing.
    """

    variant: str
    index: int
    seed: int
    piece: str
    measures: Mapping[str, Any]

    @property
    def remaining(self) -> float:
        """The fraction of the prunable weights that is alive."""
        return 1.0 - self.measures["sparsity"]


def of_plan(store: Store, plan: Iterable[Planned]) -> list[Result]:
    """Read the results of the networks of a plan that are there.

    Raises:
        PieceError: If a piece is damaged.
    """
    looked_at = {}
    results = []
    for planned in plan:
        name = planned.piece.name
        if name in store and name not in looked_at:
            looked_at[name] = store.look(name)
        if name in looked_at:
            measures = looked_at[name].measures
            results.append(
                Result(planned.variant, planned.index, planned.piece.seed, name, measures)
            )
    return results


class Run:
    """The folder of a run: what was asked for, and the report. The networks are in the store.

    Args:
        folder: The folder, which may not exist yet.

    Raises:
        ResultsError: If it is a folder of the first edition, whose networks are no pieces.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = pathlib.Path(folder)
        if (self.folder / "results.jsonl").exists() and not (self.folder / "run.json").exists():
            raise ResultsError(
                f"{self.folder} holds a run of the first edition (results.jsonl), whose networks "
                "are no pieces: its files stay as they are, and another --output is needed."
            )

    def describe(self, asked: Mapping[str, Any], networks: Iterable[Planned | Result]) -> None:
        """Write down what was asked for, and which pieces it is made of.

        Args:
            asked: The settings, as JSON.
            networks: The networks of a plan, or their results.
        """
        content = {**asked, "plan": [_entry(network) for network in networks]}
        atomic_file.write(self.file("run.json"), (json.dumps(content, indent=1) + "\n").encode())

    def write_table(self, results: Iterable[Result]) -> None:
        """Write the results as CSV."""
        atomic_file.write(self.file("results.csv"), as_csv(results).encode())

    def file(self, *parts: str) -> pathlib.Path:
        """Return a path inside the folder, and make the folders on the way."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _entry(network: Planned | Result) -> list[Any]:
    piece = network.piece
    seed, name = (network.seed, piece) if isinstance(piece, str) else (piece.seed, piece.name)
    return [network.variant, network.index, seed, name]


def read(folder: str | os.PathLike[str], store: Store) -> tuple[dict[str, Any], list[Result]]:
    """Read what a run or study was asked for, and the results of its networks that are there.

    Args:
        folder: Its folder, with a `run.json`.
        store: Where its pieces are.

    Raises:
        ResultsError: If there is no `run.json`, or it is none, or none of its pieces is there.
        PieceError: If a piece is damaged.
    """
    path = pathlib.Path(folder) / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        plan = [(str(v), int(i), int(s), str(name)) for v, i, s, name in content["plan"]]
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}. Is {folder} a run or a study?") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{path} is not what a run wrote.") from error
    found = {name: store.look(name) for name in {name for *_, name in plan} if name in store}
    if not found:
        raise ResultsError(f"{store.folder} has none of the networks of {folder}: pass --pieces.")
    return content, [Result(*one, found[one[3]].measures) for one in plan if one[3] in found]


def as_csv(results: Iterable[Result]) -> str:
    """Results as CSV: a line for each network, a column for each measure that is one number."""
    results = list(results)
    names = list(
        dict.fromkeys(
            name
            for result in results
            for name, value in result.measures.items()
            if isinstance(value, int | float | str)
        )
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["variant", "round", "seed", "piece", *names])
    for one in results:
        values = (one.measures.get(name) for name in names)
        writer.writerow([one.variant, one.index, one.seed, one.piece, *values])
    return text.getvalue()
