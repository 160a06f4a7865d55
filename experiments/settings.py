"""The flags of every experiment, and the `Experiment` that they and a preset describe."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from types import ModuleType

from absl import flags

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "dataset",
    "digits",
    "Images to train on: digits, which come with scikit-learn, or any image classification set of "
    "TensorFlow Datasets, such as mnist, fashion_mnist or cifar10.",
)
flags.DEFINE_string("data_dir", None, "Folder in which TensorFlow Datasets keeps its files.")
flags.DEFINE_bool("download", False, "Download the data set if --data_dir does not have it.")
flags.DEFINE_bool(
    "standardize",
    False,
    "Give every colour channel mean 0 and deviation 1.",
)
flags.DEFINE_integer(
    "examples",
    None,
    "Use at most this number of training and of test images.",
    lower_bound=10,
)
flags.DEFINE_string(
    "network",
    None,
    "Network to train: a file of experiments/networks. Its preset holds the paper's optimizer, "
    "batch size, iterations and rates. Default: digits_mlp for digits, else lenet_300_100.",
)
flags.DEFINE_integer("rounds", 15, "Number of prunings.", lower_bound=1)
flags.DEFINE_float(
    "rate",
    None,
    "Fraction of the live weights that a round prunes. Layers with another rate, such as the "
    "output layer, change theirs by the same factor. Default: the preset's.",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_string(
    "scope", None, "Scope of the rate: a name of keras_lottery.scopes. Default: the preset's."
)
flags.DEFINE_integer("seed", 0, "First seed, for initial weights, split and order of the batches.")
flags.DEFINE_integer("seeds", 1, "Number of seeds to repeat everything with.", lower_bound=1)
flags.DEFINE_float(
    "scale", 1.0, "Multiplies the preset's iterations: 0.1 trains a tenth as long.", lower_bound=0
)
flags.DEFINE_integer(
    "iterations", None, "Training steps of a round, instead of the preset's.", lower_bound=1
)
flags.DEFINE_integer("batch_size", None, "Images in a step. Default: the preset's.", lower_bound=1)
flags.DEFINE_enum(
    "fused", "auto", ["auto", "always", "never"], "Whether one call runs many training steps."
)
flags.DEFINE_string(
    "output", None, "Folder of the run. Default: runs/ and the names of script, data and network."
)

# Flags that may change when a run is continued: they say where things are, and what to report.
FLAGS_WITHOUT_EFFECT_ON_RESULTS = {"data_dir", "download", "output", "within", "export"}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment: a network on a data set, and how it is trained and pruned.

    Args:
        network: A module of `experiments.networks`.
        dataset: A record of `experiments.datasets`.
        iterations: Training steps of one network.
        batch_size: Examples in a step.
        rate: Fraction of the live weights that a round prunes.
        overrides: Other rates, by pattern of the kernel's name.
        scope: Name of a function of `keras_lottery.scopes`.
        seeds: The seeds to repeat everything with.
        fused: As in `kl.fit`.
    """

    network: ModuleType
    dataset: object
    iterations: int
    batch_size: int
    rate: float
    overrides: Mapping[str, float]
    scope: str
    seeds: range
    fused: str

    @property
    def name(self):
        """The network's name."""
        return self.network.__name__.rpartition(".")[2]

    def title(self, length):
        """Return one line that says what was run, for tables and figures.

        Args:
            length: The length of a round, in words.
        """
        images = f"{self.training_images:,} images of {self.dataset.name}"
        seeds = f"{len(self.seeds)} seeds" if len(self.seeds) > 1 else "1 seed"
        return f"{self.name} on {images}, {length} a round, {seeds}"

    @property
    def validation(self):
        """The number of training examples that are set aside for validation."""
        return min(self.network.PRESET.validation, len(self.dataset.x_train) // 5)

    @property
    def training_images(self):
        """The number of examples that are left to train on."""
        return len(self.dataset.x_train) - self.validation

    @property
    def steps(self):
        """The number of iterations in an epoch."""
        return math.ceil(self.training_images / self.batch_size)

    def to_json(self):
        """Return the settings that decide the results, flags and preset together, as JSON."""
        return {
            "network": self.name,
            "training_images": self.training_images,
            "iterations": self.iterations,
            "batch_size": self.batch_size,
            "rate": self.rate,
            "overrides": dict(self.overrides),
            "scope": self.scope,
            "seeds": list(self.seeds),
        }


def experiment():
    """Make the `Experiment` of the flags, and load its data set.

    Raises:
        ValueError, FileNotFoundError: A flag has a name that is not known; the message lists those
            that are.
    """
    import keras

    from experiments import datasets, networks
    from keras_lottery.core import lookup, scopes

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Experiments train on TensorFlow; KERAS_BACKEND is {keras.backend.backend()!r}."
        )
    network = networks.get(FLAGS.network or network_for(FLAGS.dataset))
    preset = network.PRESET
    scope = FLAGS.scope or preset.scope
    lookup.get(scopes, scope)
    dataset = datasets.load(FLAGS.dataset, FLAGS.data_dir, FLAGS.download, FLAGS.examples)
    if FLAGS.standardize:
        dataset = datasets.standardize(dataset)
    rate = preset.rate if FLAGS.rate is None else FLAGS.rate
    return Experiment(
        network=network,
        dataset=dataset,
        iterations=FLAGS.iterations or max(1, round(preset.iterations * FLAGS.scale)),
        batch_size=FLAGS.batch_size or preset.batch_size,
        rate=rate,
        overrides={
            pattern: min(1.0, other * (rate / preset.rate))
            for pattern, other in preset.overrides.items()
        },
        scope=scope,
        seeds=range(FLAGS.seed, FLAGS.seed + FLAGS.seeds),
        fused=FLAGS.fused,
    )


def network_for(dataset):
    """Return the network that a data set is tried on first.

    >>> network_for("digits"), network_for("mnist")
    ('digits_mlp', 'lenet_300_100')
    """
    return "digits_mlp" if dataset == "digits" else "lenet_300_100"


def folder(script):
    """Return the folder of a script's run."""
    network = FLAGS.network or network_for(FLAGS.dataset)
    return FLAGS.output or f"runs/{script}-{FLAGS.dataset}-{network}"


def result_flags(script):
    """Return the flags of a script that decide its results, by name, as JSON.

    Args:
        script: The script's `__name__`.
    """
    return {
        flag.name: flag.value
        for flag in FLAGS.get_key_flags_for_module(sys.modules[script])
        if flag.name not in FLAGS_WITHOUT_EFFECT_ON_RESULTS
    }
