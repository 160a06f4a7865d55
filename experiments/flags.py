"""The flags of every experiment: the one place where flags become `Settings`.

It imports no Keras, so that `--help` is there at once.
"""

import inspect
import pathlib

from absl import flags

from keras_lottery.core import granularity, lookup, scopes

FLAGS = flags.FLAGS

HERE = pathlib.Path(__file__).parent
LIBRARY = pathlib.Path(lookup.__file__).parents[1]


def files(folder: pathlib.Path) -> str:
    """The names of the files of a folder that is a registry."""
    names = (path.stem for path in folder.glob("*.py"))
    return ", ".join(sorted(name for name in names if not name.startswith("_")))


def functions(module) -> str:
    """The names of the functions of a module that is a registry."""
    return ", ".join(name for name in lookup.names(module) if not name.startswith("as_"))


flags.DEFINE_string(
    "dataset",
    "digits",
    "Images to train on: digits, which come with scikit-learn; an image classification set of "
    "TensorFlow Datasets, such as mnist, fashion_mnist or cifar10; or folder:PATH, images in a "
    "subfolder for each class.",
)
flags.DEFINE_string("data_dir", None, "Folder in which TensorFlow Datasets keeps its files.")
flags.DEFINE_bool("download", False, "Download the data set if --data_dir does not have it.")
flags.DEFINE_bool("standardize", False, "Give every colour channel mean 0 and deviation 1.")
flags.DEFINE_integer(
    "examples",
    None,
    "Use at most this number of training and of test images.",
    lower_bound=10,
)
flags.DEFINE_string(
    "network",
    None,
    f"Network to train: {files(HERE / 'networks')}. Its preset holds the paper's optimizer, "
    "batch size, iterations and rates. Default: digits_mlp for digits, else lenet_300_100.",
)
flags.DEFINE_string(
    "optimizer",
    None,
    "Optimizer: momentum, or one of Keras, such as adam, sgd, adamw. Default: the preset's.",
)
flags.DEFINE_float("learning_rate", None, "Highest learning rate. Default: the preset's.")
flags.DEFINE_float("weight_decay", None, "Decoupled weight decay a step. Default: the preset's.")
flags.DEFINE_float("dropout", 0.0, "Rate of dropout after every ReLU.", 0, 1)
flags.DEFINE_list("augmentation", [], "Random images in training: flip, shift, or both.")
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
    "scope", None, f"Scope of the rate: {functions(scopes)}. Default: the preset's."
)
flags.DEFINE_string(
    "granularity",
    "weights",
    f"What is pruned as one: {functions(granularity)}; with numbers as in blocks:4 or n_of_m:2,4.",
)
flags.DEFINE_integer("seed", 0, "First seed, for initial weights, split and order of the batches.")
flags.DEFINE_integer("seeds", 1, "Number of seeds to repeat everything with.", lower_bound=1)
flags.DEFINE_float(
    "scale", 1.0, "Multiplies the preset's iterations: 0.1 trains a tenth as long.", lower_bound=0
)
flags.DEFINE_integer(
    "iterations", None, "Training steps of a round, instead of the preset's.", lower_bound=1
)
flags.DEFINE_integer(
    "epochs", None, "Epochs of a round, in place of its training steps.", lower_bound=1
)
flags.DEFINE_integer("batch_size", None, "Images in a step. Default: the preset's.", lower_bound=1)
flags.DEFINE_enum(
    "fused", "auto", ["auto", "always", "never"], "Whether one call runs many training steps."
)
flags.DEFINE_string(
    "output",
    None,
    "Folder of the report. Default: runs/ and the names of script, data and network.",
)
flags.DEFINE_string(
    "pieces",
    "runs/pieces",
    "Folder of trained networks, which all scripts share: what one has trained, another finds.",
)
flags.DEFINE_bool(
    "other_versions",
    False,
    "Go on from networks that were trained with other versions of Keras and so on, or on another "
    "processor.",
)


def settings(**others):
    """Make the `Settings` of the flags.

    Args:
        **others: Arguments of `settings.make` that are no flags of this script.

    Raises:
        ValueError: As from `settings.make`.
    """
    from experiments.settings import make

    arguments = inspect.signature(make).parameters
    given = {name: FLAGS[name].value for name in arguments if name in FLAGS}
    return make(**(given | others))


def experiment(chosen):
    """Load the data of `Settings`, from where the flags say that it is.

    Returns:
        An `experiment.Experiment`.

    Raises:
        ValueError, FileNotFoundError: As from `experiment.load`.
    """
    from experiments.experiment import Experiment, load

    return Experiment(chosen.training, load(chosen.images, FLAGS.data_dir, FLAGS.download))


def folder(script: str, chosen) -> str:
    """Return the folder of a script's report."""
    name = chosen.images.name.replace("/", "_").replace(":", "_")
    return FLAGS.output or f"runs/{script}-{name}-{chosen.training.network}"
