"""The flags that every experiment has, and what they and the network's preset describe together."""

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
    "Use only so many training and test images.",
    lower_bound=10,
)
flags.DEFINE_string(
    "network",
    None,
    "What to train: a file of experiments/networks. Its preset holds the paper's optimizer, batch "
    "size, iterations and rates. Default: digits_mlp for digits, else lenet_300_100.",
)
flags.DEFINE_integer("rounds", 15, "How often to prune.", lower_bound=1)
flags.DEFINE_float(
    "rate",
    None,
    "Fraction of the remaining weights that a round prunes. Layers with a rate of their own, such "
    "as the output layer, are scaled along. Default: the preset's.",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_string(
    "scope", None, "Where the rate holds: a name of keras_lottery.scopes. Default: the preset's."
)
flags.DEFINE_integer("seed", 0, "The first seed, of the initial weights, the split and the order.")
flags.DEFINE_integer("seeds", 1, "How many seeds to repeat everything with.", lower_bound=1)
flags.DEFINE_float(
    "scale", 1.0, "Multiplies the preset's iterations: 0.1 trains a tenth as long.", lower_bound=0
)
flags.DEFINE_integer(
    "iterations", None, "Training steps of a round, instead of the preset's.", lower_bound=1
)
flags.DEFINE_integer("batch_size", None, "Images in a step. Default: the preset's.", lower_bound=1)
flags.DEFINE_enum(
    "fused", "auto", ["auto", "always", "never"], "Whether many training steps are one call."
)
flags.DEFINE_string(
    "output", None, "Folder of the run. Default: runs/ and the names of script, data and network."
)

# What may change when a run is continued: where things are, and what is said of them.
_FREE = {"data_dir", "download", "output", "within", "export"}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What the flags describe: a network on a data set, and how it is trained and pruned.

    Args:
        network: A module of `experiments.networks`.
        dataset: A record of `experiments.datasets`.
        iterations: Training steps of one network.
        batch_size: Examples in a step.
        rate: Fraction of the remaining weights that a round prunes.
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
        """One line that says what was run, for tables and figures.

        Args:
            length: How long a round is, in words.
        """
        images = f"{self.training_images:,} images of {self.dataset.name}"
        seeds = f"{len(self.seeds)} seeds" if len(self.seeds) > 1 else "1 seed"
        return f"{self.name} on {images}, {length} a round, {seeds}"

    @property
    def validation(self):
        """How many training examples are set aside for validation."""
        return min(self.network.PRESET.validation, len(self.dataset.x_train) // 5)

    @property
    def training_images(self):
        """How many are left to train on."""
        return len(self.dataset.x_train) - self.validation

    @property
    def steps(self):
        """Iterations of an epoch."""
        return math.ceil(self.training_images / self.batch_size)

    def recorded(self):
        """What is left of the flags when the preset has filled them in, as JSON."""
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
    """The `Experiment` of the flags, its data set loaded.

    Raises:
        ValueError, FileNotFoundError: A flag names what there is not; the message lists
            what there is.
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
    """The network that a data set is tried on first.

    >>> network_for("digits"), network_for("mnist")
    ('digits_mlp', 'lenet_300_100')
    """
    return "digits_mlp" if dataset == "digits" else "lenet_300_100"


def folder(script):
    """Where a script's run is kept."""
    network = FLAGS.network or network_for(FLAGS.dataset)
    return FLAGS.output or f"runs/{script}-{FLAGS.dataset}-{network}"


def deciding(script):
    """The flags of a script that decide its results, by name, as JSON.

    Args:
        script: The script's `__name__`.
    """
    return {
        flag.name: flag.value
        for flag in FLAGS.get_key_flags_for_module(sys.modules[script])
        if flag.name not in _FREE
    }
