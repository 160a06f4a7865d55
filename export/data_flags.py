"""Defines the arguments that give a script of this folder a data set."""


def add_arguments(parser, default=None):
    """Defines the arguments.

    Args:
        parser: An `argparse.ArgumentParser`.
        default: The data set without `--dataset`, or None.
    """
    parser.add_argument(
        "--dataset",
        default=default,
        help="images: digits, which come with scikit-learn, or any image classification set of "
        f"TensorFlow Datasets, such as mnist or cifar10 ({default})",
    )
    parser.add_argument(
        "--data_dir", metavar="DIR", help="folder in which TensorFlow Datasets keeps its files"
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="download the data set if --data_dir does not have it",
    )


def given(arguments):
    """Return which of `--data_dir` and `--download` are given.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Returns:
        A list of option names.
    """
    return [f"--{name}" for name in ("data_dir", "download") if getattr(arguments, name)]


def unfit(arguments):
    """Return an error if an option needs `--dataset`, on one line; empty if none does.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.
    """
    if arguments.dataset is None and (unused := given(arguments)):
        return f"{unused[0]} is for --dataset, which is not given."
    return ""


def load(arguments):
    """Load the `Dataset` that the arguments name, or return None.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        ValueError, FileNotFoundError: There is no such set; the message says what there is.
    """
    from experiments import datasets

    if arguments.dataset is None:
        return None
    return datasets.load(
        arguments.dataset, arguments.data_dir, arguments.download, arguments.examples
    )
