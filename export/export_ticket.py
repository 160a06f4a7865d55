"""Exports a pruned model, or a ticket, to a sparse .tflite file that is proven equal.

  python -m export.export_ticket --model=M.keras --output=F.tflite
  python -m export.export_ticket --model=M.keras --dataset=mnist --target=int8 --output=F.tflite
  python -m export.export_ticket --ticket=T --network=lenet_300_100 --dataset=mnist \\
      --output=F.tflite

It is `keras-lottery export`, with tickets and with data sets by their names. A ticket holds weights
of before their training. So the script first trains it on the data set, for --epochs or as long as
the network's preset says; or --weights brings its trained weights.
Beside F.tflite this writes the report, as F.json and F.md. None of the three may be there already,
unless --overwrite says so.
"""

from export import data_flags
from keras_lottery.commands import command, export

# What `--network` and the others are of a ticket's.
_OF_TICKETS = ("network", "weights", "epochs", "seed")


def trained_ticket(path, network, dataset, weights=None, epochs=None, seed=0):
    """Make a network with a ticket's masks, and train it.

    Args:
        path: The ticket's file.
        network: Its architecture, a name of `experiments.networks`.
        dataset: The `Dataset` to train on, which also has the shape of the inputs.
        weights: A `.weights.h5` file of the trained network, instead of training it.
        epochs: The number of epochs to train; as the network's preset says if None.
        seed: Seed of the order of the examples.

    Returns:
        A `keras.Model` without masks, whose pruned weights are zero.

    Raises:
        ValueError, FileNotFoundError: There is no such network or file.
        TicketError: The file is no ticket, or one of another network.
    """
    import keras_lottery as kl
    from experiments import networks
    from export import training

    module = networks.get(network)
    if epochs is None:
        epochs = max(1, round(module.PRESET.iterations / training.steps(module, dataset)))
    model = training.make_model(module, dataset, epochs)
    lottery = kl.Ticket.load(path).apply(model)
    if weights is not None:
        model.load_weights(weights)
    else:
        training.train(model, module, dataset, epochs, seed=seed)
    lottery.check()
    return kl.strip(model)


def add_arguments(parser):
    """Defines the arguments of the command, of the ticket, and of the data set.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    export.add_arguments(parser, model_required=False)
    parser.add_argument("--ticket", metavar="T", help="file of a ticket")
    parser.add_argument("--network", help="network of --ticket: a file of experiments/networks")
    parser.add_argument("--weights", metavar="W.weights.h5", help="trained weights of --ticket")
    parser.add_argument(
        "--epochs",
        type=command.integer(0),
        metavar="N",
        help="number of epochs to train --ticket (as in the network's preset)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of the order of its training examples (0)"
    )
    data_flags.add_arguments(parser)
    parser.add_argument(
        "--examples",
        type=command.integer(1),
        metavar="N",
        help="use at most this number of training and of test images of --dataset",
    )


def check(arguments):
    """Refuses settings that cannot be met, before a ticket is trained, which may take long.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        CommandError: A setting is wrong.
    """
    if problem := _unfit(arguments) or data_flags.unfit(arguments):
        raise command.CommandError(problem)
    given = arguments.dataset is not None or arguments.images is not None
    export.check(arguments, real_inputs="--dataset or --images", given=given)


def _unfit(arguments):
    """Return what is wrong with the source of the model, on one line; empty if nothing is."""
    if (arguments.model is None) == (arguments.ticket is None):
        return "give either --model=M.keras or --ticket=T."
    if arguments.ticket and (arguments.network is None or arguments.dataset is None):
        return "--ticket needs its --network, and --dataset."
    for option in _OF_TICKETS:
        if arguments.model and getattr(arguments, option) is not None:
            return f"--{option} is for --ticket; a --model comes trained."
    if arguments.dataset is None and arguments.examples is not None:
        return "--examples is for --dataset, which is not given."
    if arguments.dataset is not None and arguments.images is not None:
        return "--dataset brings the examples; --images has no use beside it."
    return ""


def load(arguments):
    """Load the model and the real inputs that the arguments name; train a ticket.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Returns:
        A `keras.Model`, and an array or None.

    Raises:
        ValueError, OSError: A file, a network or a data set cannot be read.
    """
    dataset = data_flags.load(arguments)
    if arguments.model:
        model, samples = export.load_saved(arguments)
        return model, samples if dataset is None else dataset.x_train
    model = trained_ticket(
        arguments.ticket,
        arguments.network,
        dataset,
        arguments.weights,
        arguments.epochs,
        arguments.seed or 0,
    )
    return model, dataset.x_train


def run(arguments):
    """Writes the file and its report, and prints the report.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        CommandError: A setting is wrong, a file cannot be read or written, or the proof failed.
    """
    export.run(arguments, checked=check, load=load)


if __name__ == "__main__":
    command.run_script("export_ticket", __doc__, add_arguments, run)
