"""The flags by which a script of this folder is given a data set."""

from absl import flags

FLAGS = flags.FLAGS


def define(default):
    """Defines the flags; a script calls it when it is run, not when it is imported.

    Args:
        default: The data set without `--dataset`, or None.
    """
    flags.DEFINE_string(
        "dataset",
        default,
        "Images: digits, which come with scikit-learn, or any image classification set of "
        "TensorFlow Datasets, such as mnist or cifar10.",
    )
    flags.DEFINE_string("data_dir", None, "Folder in which TensorFlow Datasets keeps its files.")
    flags.DEFINE_bool("download", False, "Download the data set if --data_dir does not have it.")
    flags.DEFINE_integer(
        "examples", None, "Use only so many training and test images.", lower_bound=1
    )


def unfit():
    """The flag that does nothing without `--dataset`, on one line; empty if there is none."""
    for flag in ("data_dir", "download", "examples"):
        if FLAGS.dataset is None and FLAGS[flag].present:
            return f"--{flag} is for --dataset, which is not given."
    return ""


def load():
    """The `Dataset` that the flags name, or None.

    Raises:
        ValueError, FileNotFoundError: There is no such set; the message says what there is.
    """
    from experiments import datasets

    if FLAGS.dataset is None:
        return None
    return datasets.load(FLAGS.dataset, FLAGS.data_dir, FLAGS.download, FLAGS.examples)
