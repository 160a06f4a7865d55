"""A small plan of pieces, and a listener that notes what it is told."""

import dataclasses

from experiments import methods, settings
from experiments.engine import Engine
from experiments.experiment import Experiment, load
from experiments.pieces.store import Store


class Notes:
    """An `engine.Listener`."""

    def __init__(self):
        self.computed = []
        self.found = []
        self.said = []
        self.missing = 0
        self.done = 0

    def begin(self, iterations):
        self.missing = iterations

    def advance(self, iterations):
        self.done += iterations

    def announce(self, planned, stored, found):
        (self.found if found else self.computed).append((planned.variant, planned.index))

    def say(self, message):
        self.said.append(message)


@dataclasses.dataclass
class Plan:
    """A plan and what it needs to be run."""

    settings: settings.Settings
    experiment: Experiment
    networks: list

    def names(self):
        return [planned.piece.name for planned in self.networks]

    def run(self, folder, **options):
        """Run it, and return what a listener was told."""
        notes = Notes()
        Engine(self.experiment, Store(folder), notes, **options).run(self.networks)
        return notes


def small(**changed):
    """Two rounds and a control on 26 digits, one step an epoch."""
    given = {"examples": 32, "iterations": 3, "rounds": 2} | changed
    given = {"control_rounds": [given["rounds"]]} | given
    search = {"rounds", "control_rounds", "controls", "criterion", "scope", "scored_images"}
    used = methods.get(given.get("method", "iterative")).USES
    given = {name: value for name, value in given.items() if name not in search - used}
    chosen = settings.make(**given)
    experiment = Experiment(chosen.training, load(chosen.images))
    return Plan(chosen, experiment, methods.plan(chosen, experiment))


def content(folder, name):
    """The files of a piece that do not say when or where it was made."""
    return {
        file: (folder / name / file).read_bytes() for file in ("ticket", "trained", "curve.csv")
    }
