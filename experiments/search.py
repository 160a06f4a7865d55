"""`Search` looks for a ticket in rounds of training and pruning, and trains controls with it."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

import keras_lottery as kl
from experiments import summary, training
from experiments.results import Network
from experiments.settings import Experiment

TICKET = "ticket"
CONTROLS = ("reinit", "random_mask", "shuffle_layerwise")


@dataclasses.dataclass(frozen=True)
class Search:
    """The settings of a search for a ticket.

    Args:
        experiment: The experiment.
        scheme: `iterative` or `one_shot`.
        count: The number of rounds of pruning.
        recipe: A `kl.Recipe`.
        scored_images: Number of training images that a scorer measures with, as many of each
            class.
        rewind: A policy of `kl.rewind`, or `None`.
        controls: A dict from the name of a control to the rounds that have it.
    """

    experiment: Experiment
    scheme: Callable
    count: int
    recipe: kl.Recipe
    scored_images: int
    rewind: kl.rewind.Rewind | None
    controls: Mapping[str, list[int]]

    def __post_init__(self):
        """Refuses what would fail, before anything is trained."""
        kl.rewind.check(self.rewind, self.recipe)
        kl.scorers.resolve(self.recipe.criterion)
        if self.rewound_to >= self.experiment.iterations:
            raise ValueError(
                f"The rewind point is iteration {self.rewound_to:,}, and a round has only "
                f"{self.experiment.iterations:,}."
            )

    @property
    def rewound_to(self):
        """The number of iterations that a rewound network has had already."""
        if self.rewind is None:
            return 0
        return self.rewind.at * (self.experiment.steps if self.rewind.unit == "epoch" else 1)

    def rounds(self, seed, count, rate):
        """Return the rounds of `kl.rounds` with these settings.

        Args:
            seed: Seed of the model and of the random choices.
            count: The number of prunings.
            rate: A function from a rate of the experiment to the rate to prune at.
        """
        experiment = self.experiment
        return kl.rounds(
            lambda: training.make_model(experiment, seed),
            count,
            rate(experiment.rate),
            self.recipe,
            data=self.scored(seed),
            overrides={name: rate(other) for name, other in experiment.overrides.items()},
            rewind=self.rewind,
            seed=seed,
        )

    def scored(self, seed):
        """Return the first training images of each class, if the criterion measures with data."""
        criterion = kl.scorers.resolve(self.recipe.criterion)
        if not (kl.scorers.is_scorer(criterion) and kl.scorers.needs_data(criterion)):
            return None
        images, classes = training.split(self.experiment, seed).train
        per_class = max(1, self.scored_images // len(np.unique(classes)))
        return kl.scorers.balanced(images, classes, per_class)

    def missing(self, run, seed):
        """Return the networks of a seed without results in a run, as `(variant, seed, index)`."""
        networks = [(summary.DENSE, seed, 0)]
        networks += [(TICKET, seed, index) for index in range(1, self.count + 1)]
        networks += [(kind, seed, i) for kind, chosen in self.controls.items() for i in chosen]
        return [network for network in networks if run.find(*network) is None]


def iterative(search, seed):
    """Prunes a fraction of the live weights in every round."""
    return search.rounds(seed, search.count, lambda rate: rate)


def one_shot(search, seed):
    """Prunes the dense network to the sparsity of every round at once."""
    for index in range(1, search.count + 1):
        for r in search.rounds(seed, 1, lambda rate, times=index: 1 - (1 - rate) ** times):
            yield dataclasses.replace(r, index=r.index * index)


def execute(search, run, progress):
    """Trains every network that the run has no results of.

    Args:
        search: `Search`.
        run: `results.Run`.
        progress: `progress.Progress`.
    """
    for seed in search.experiment.seeds:
        if search.missing(run, seed):
            _Seed(search, run, progress, seed).execute()


class _Seed:
    """The networks of one seed; a model of a kind is made and compiled once for all its rounds."""

    def __init__(self, search, run, progress, seed):
        self.search = search
        self.run = run
        self.progress = progress
        self.seed = seed
        self.examples = training.split(search.experiment, seed)
        self.trainers = {}

    def execute(self):
        for r in self.search.scheme(self.search, self.seed):
            self.train_ticket(r)
            for kind, chosen in self.search.controls.items():
                if r.index in chosen and self.run.find(kind, self.seed, r.index) is None:
                    self.train_control(r, kind)

    def train_ticket(self, r):
        variant = TICKET if r.index else summary.DENSE
        trainer = self.trainer(TICKET, r.model)
        weights = weights_file(self.run, self.seed, r.index)
        if self.run.find(variant, self.seed, r.index) is None:
            first = self.search.rewound_to if r.index else 0
            network = self.network(r, variant)
            result = trainer.train(network, r.callbacks, first, r.initial_epoch)
            r.model.save_weights(weights)
            metadata = r.ticket.metadata | {"history": [history_of(result)]}
            ticket = dataclasses.replace(r.ticket, metadata=metadata)
            ticket.save(ticket_file(self.run, self.seed, r.index))
            self.add(result)
            return
        # Trained before the run was interrupted: what came of it is all that pruning needs, and a
        # rewind point that is saved on the way.
        if self.search.rewound_to and r.index == 0:
            trainer.train_to(self.search.rewound_to + 1, r.callbacks)
        r.model.load_weights(weights)

    def train_control(self, r, kind):
        model = r.control(kind, seed=self.seed)
        trainer = self.trainer(kind, model)
        network = self.network(r, kind)
        if kind == "reinit":
            result = trainer.train(network)
        else:
            result = trainer.train(
                network, first=self.search.rewound_to, initial_epoch=r.initial_epoch
            )
        kl.Lottery.on(model).check()
        self.add(result)

    def trainer(self, kind, model):
        if kind not in self.trainers or self.trainers[kind].model is not model:
            self.trainers[kind] = training.Trainer(
                model, self.examples, self.search.experiment, self.seed, self.progress.advance
            )
        return self.trainers[kind]

    def network(self, r, variant):
        return Network(r.index, variant, self.seed, r.sparsity, r.alive_counts)

    def add(self, result):
        self.run.add(result)
        self.progress.announce(result)


def ticket_file(run, seed, index):
    """Return the file of a round's ticket."""
    return run.file(f"seed-{seed}", f"round-{index:02}.ticket")


def history_of(result):
    """Return what a ticket says of its training: not the time that it took, so that the same search
    leaves the same tickets."""
    return {name: value for name, value in vars(result).items() if name != "seconds"}


def weights_file(run, seed, index):
    """Return the file of a round's trained weights."""
    return run.file(f"seed-{seed}", f"round-{index:02}.weights.h5")


def rewind_policy(text):
    """Return the rewind policy that a flag names.

    Args:
        text: `start`, `step:N`, `epoch:N`, `learning_rate` or `none`.

    Raises:
        ValueError: If `text` is none of them.

    >>> rewind_policy("step:500").at
    500
    """
    kind, _, number = text.partition(":")
    points = {"step": kl.rewind.to_step, "epoch": kl.rewind.to_epoch}
    if kind in points and number.isdigit():
        return points[kind](int(number))
    whole = {"start": kl.rewind.to_start, "learning_rate": kl.rewind.learning_rate, "none": None}
    if text not in whole:
        raise ValueError(
            f"No rewind point {text!r}; there are start, step:500, epoch:2, learning_rate and none."
        )
    return whole[text] and whole[text]()


def controls(kinds, rounds, count):
    """Return the rounds in which each kind of control is trained.

    Args:
        kinds: The names of controls.
        rounds: Rounds as strings; an empty list stands for all.
        count: The number of rounds.

    Raises:
        ValueError: If there is no such control or round.

    >>> controls(["reinit"], ["2", "3"], count=5)
    {'reinit': [2, 3]}
    """
    for kind in kinds:
        if kind not in CONTROLS:
            raise ValueError(f"No control {kind!r}; there are {', '.join(CONTROLS)}.")
    for index in rounds:
        if not index.isdigit() or not 1 <= int(index) <= count:
            raise ValueError(f"No round {index!r} to have controls; there are 1 to {count}.")
    chosen = sorted(map(int, rounds)) or list(range(1, count + 1))
    return {kind: chosen for kind in kinds}
