"""Reads and writes a run's folder: `flags.json`, and `results.jsonl` with a line for every network.

A line is on the disk before the next training begins, so an interrupted run continues where it
stopped.
"""

import dataclasses
import json
import os
import pathlib
import platform
from importlib import metadata

from keras_lottery.core import atomic_file


class ResultsError(ValueError):
    """A run's folder holds something that this run did not write."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of a run.

    Args:
        index: The round; 0 is the dense network.
        variant: Its kind: `"ticket"`, the name of a control, or a method.
        seed: The seed, the same for all networks that it is compared with.
        sparsity: The fraction of all prunable weights that is pruned.
        alive_counts: The number of live weights, by kernel.
    """

    index: int
    variant: str
    seed: int
    sparsity: float
    alive_counts: dict[str, int]

    @property
    def remaining(self):
        """The fraction of the prunable weights that is alive."""
        return 1.0 - self.sparsity


@dataclasses.dataclass(frozen=True)
class Result(Network):
    """A network that was trained. Accuracies are fractions, losses are means over the examples.

    Args:
        train_loss, train_accuracy: On the training examples, after the last iteration.
        validation_loss, validation_accuracy: The same, on the validation examples.
        test_loss, test_accuracy: The same, on the test examples.
        early_stopping_iteration: The iteration of minimum validation loss, read off afterwards
            (Frankle & Carbin 2019); training itself always runs to the end.
        early_stopping_accuracy: Test accuracy at that iteration.
        iterations: The number of iterations trained.
        seconds: Wall time of the training and its evaluations.
        fused: The way that `kl.fit` trained: `"xla"`, `"graph"` or `"plain"`.
    """

    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    test_loss: float
    test_accuracy: float
    early_stopping_iteration: int
    early_stopping_accuracy: float
    iterations: int
    seconds: float
    fused: str


class Run:
    """The folder of one run, created or continued.

    Args:
        folder: The folder of the run, which may not exist yet.
        flags: The flags that decide the results, by name; JSON values.

    Raises:
        ResultsError: The folder belongs to a run with other flags, or a line of its results
            cannot be read.
    """

    def __init__(self, folder, flags):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / "results.jsonl"
        _check_or_write_flags(self.folder / "flags.json", flags, self._path)
        self.results = _read(self._path)

    def find(self, variant, seed, index):
        """Return the result of one network, or `None` if it has not been trained."""
        for result in self.results:
            if (result.variant, result.seed, result.index) == (variant, seed, index):
                return result
        return None

    def add(self, result):
        """Appends a result, and returns when it is on the disk."""
        line = json.dumps(dataclasses.asdict(result)) + "\n"
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.results.append(result)

    def file(self, *parts):
        """Return a path inside the folder, and make the folders on the way."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _check_or_write_flags(path, flags, results):
    if not path.exists():
        if results.exists():
            raise ResultsError(f"{results} has no flags.json beside it: choose another --output.")
        _write_flags(path, flags)
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["flags"]
        names = sorted(before.keys() | flags.keys())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path} is not the flags of a run: choose another --output.") from error
    differing = [
        f"--{name}={before.get(name)} (now {flags.get(name)})"
        for name in names
        if before.get(name) != flags.get(name)
    ]
    if differing and not results.exists():
        _write_flags(path, flags)
    elif differing:
        raise ResultsError(
            f"{path.parent} holds a run with other flags: {', '.join(differing)}. "
            "Repeat them to continue it, or choose another --output."
        )


def _write_flags(path, flags):
    content = {"flags": flags, "versions": _versions()}
    atomic_file.write(path, (json.dumps(content, indent=2) + "\n").encode())


def _versions():
    packages = ("keras", "tensorflow", "numpy")
    return {"python": platform.python_version()} | {
        package: metadata.version(package) for package in packages
    }


def _read(path):
    """The results in a file; an unfinished last line, of an interrupted write, is cut off."""
    if not path.exists():
        return []
    content = path.read_bytes()
    finished = content.rfind(b"\n") + 1
    if finished < len(content):
        with open(path, "r+b") as file:
            file.truncate(finished)
    return [
        _parse(line, f"{path}, line {number}")
        for number, line in enumerate(content[:finished].splitlines(), start=1)
    ]


def _parse(line, where):
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise ResultsError(f"{where} is not JSON: {line[:60]!r}.") from error
    types = {field.name: field.type for field in dataclasses.fields(Result)}
    if not isinstance(fields, dict) or fields.keys() != types.keys():
        raise ResultsError(f"{where} is not a result: its fields should be {', '.join(types)}.")
    for name, value in fields.items():
        if not _fits(value, types[name]):
            expected = types[name].__name__
            raise ResultsError(f"{where}: {name} should be {expected}, received {value!r}.")
    return Result(**fields)


def _fits(value, expected):
    if expected is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if expected is int or expected is str:
        return type(value) is expected
    return isinstance(value, dict) and all(type(count) is int for count in value.values())
