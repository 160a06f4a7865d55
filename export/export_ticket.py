"""Exports a pruned model, or a ticket, to a sparse .tflite file that is proven equal.

  python -m export.export_ticket --model=M.keras --output=F.tflite
  python -m export.export_ticket --model=M.keras --dataset=mnist --target=int8 --output=F.tflite
  python -m export.export_ticket --ticket=T --network=lenet_300_100 --dataset=mnist \\
      --output=F.tflite

A ticket holds weights from before their training. So it is trained first, on the data set, as long
as the network's preset says or --epochs; or --weights brings what it was trained to.
Beside F.tflite this writes the report, as F.json and F.md. None of the three may be there already,
unless --overwrite says so.
"""

import sys
import zipfile
from pathlib import Path

from absl import app, flags

from experiments import quiet
from export import data_flags, memory

FLAGS = flags.FLAGS

# Of the files written: the model, and its report twice.
_SUFFIXES = (".tflite", ".json", ".md")


def saved_model(path):
    """A model from its file, whoever made it.

    Raises:
        ValueError, OSError: There is no such file, it holds no model, one of classes that Keras
            does not know, or one that needs more memory than there is.
    """
    import keras

    check_unpacked(path)
    try:
        with memory.bounded():
            return keras.saving.load_model(path)
    except (OSError, ValueError):
        raise
    except RecursionError as error:
        raise ValueError(f"{path} nests what it describes too deeply to be read.") from error
    except TypeError as error:
        # Behind the whole configuration comes what is missing.
        reason, *_ = str(error).rpartition("encountered: ")[2].split(". ")
        raise ValueError(
            f"{path} has a class that is not Keras's own: call tflite.export where it is defined. "
            f"{reason}."
        ) from error
    except Exception as error:  # Whatever TensorFlow makes of a shape that no memory holds.
        kind = type(error).__name__
        if memory.is_lack(error):
            raise ValueError(f"{path} needs more memory than there is: {kind}.") from error
        raise ValueError(f"{path} could not be read: {kind}: {str(error)[:200]}") from error


def check_unpacked(path):
    """Refuses a `.keras` file that unpacks to more than `most_unpacked` bytes, before it is read.

    Raises:
        ValueError: It does.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > (most := most_unpacked(Path(path).stat().st_size)):
        raise ValueError(f"{path} unpacks to {unpacked:,} bytes; at most {most:,} are read.")


def most_unpacked(size):
    """The bytes that a `.keras` file of `size` bytes may unpack to.

    A hundred times as many, which nothing but zeros needs, and not more than the 2 GiB of weights
    that a .tflite file holds with an optimizer's three arrays for each.

    >>> most_unpacked(1_000_000)
    167108864
    """
    return min(2**26 + 100 * size, 2**33)


def trained_ticket(path, network, dataset, weights=None, epochs=None, seed=0):
    """A network with a ticket's masks, trained.

    Args:
        path: The ticket's file.
        network: Its architecture, a name of `experiments.networks`.
        dataset: The `Dataset` that it is trained on, and that says the shape of its inputs.
        weights: A `.weights.h5` file of the trained network, instead of training it.
        epochs: How long to train; as the network's preset says if None.
        seed: Of the order of the examples.

    Returns:
        A `keras.Model`, masks detached, its pruned weights zero.

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


def weights_of(entries):
    """What the target `auto` weighs, from `name=number` entries; None where there are none.

    Raises:
        ValueError: An entry is of another form.

    >>> weights_of(["bytes=2", "time=1"])
    {'bytes': 2.0, 'time': 1.0}
    """
    if not entries:
        return None
    try:
        return {name: float(number) for name, number in (entry.split("=") for entry in entries)}
    except ValueError as error:
        raise ValueError(
            f"--weigh is {','.join(entries)!r}; it must be like bytes=2,time=1."
        ) from error


def unfit_settings():
    """What is wrong with the flags, on one line; empty if nothing is.

    All of it is asked before a ticket is trained, which may take long; first what can be answered
    without TensorFlow, whose import takes seconds.
    """
    if (FLAGS.model is None) == (FLAGS.ticket is None):
        return "give --model=M.keras or --ticket=T, one of them."
    if FLAGS.ticket and (FLAGS.network is None or FLAGS.dataset is None):
        return "--ticket needs --network, what it is of, and --dataset."
    for flag in ("network", "weights", "epochs", "seed"):
        if FLAGS.model and FLAGS[flag].present:
            return f"--{flag} is for --ticket; a --model comes trained."
    for flag in ("samples", "compare"):
        if FLAGS.dataset is None and FLAGS[flag].present:
            return f"--{flag} is for --dataset: how many of its images to take."
    return data_flags.unfit() or _unfit_output(Path(FLAGS.output)) or _unfit_target()


def _unfit_output(output):
    if output.suffix != ".tflite":
        return f"--output is {FLAGS.output!r}; it must end in .tflite."
    if not output.parent.is_dir():
        return f"--output is {FLAGS.output!r}; there is no folder {output.parent}."
    taken = [path for path in map(output.with_suffix, _SUFFIXES) if path.exists()]
    if taken and not FLAGS.overwrite:
        return f"{taken[0]} exists already; --overwrite replaces it."
    return ""


def _unfit_target():
    if FLAGS.weigh and FLAGS.target != "auto":
        return f"--weigh is for --target=auto, not for {FLAGS.target}."
    if FLAGS.measure and FLAGS.target == "micro":
        return "--measure times a file in LiteRT, not in TensorFlow Lite Micro."
    quiet.import_tensorflow()
    from keras_lottery.exporters.tflite import targets
    from keras_lottery.exporters.tflite.targets import auto

    if FLAGS.target in targets.INTEGERS and FLAGS.dataset is None:
        return f"--target={FLAGS.target} needs --dataset, real images to calibrate on."
    try:
        targets.check(FLAGS.target, FLAGS.precision, (*targets.BUILDERS, "auto"))
        if FLAGS.weigh:
            auto.check_weigh(weights_of(FLAGS.weigh))
    except ValueError as error:
        return str(error)
    return ""


def main(argv):
    """Writes the file and its report."""
    if len(argv) > 1:
        sys.exit(f"Unexpected {argv[1]!r}: every setting is a flag, as in --model=M. See --help.")
    if unfit := unfit_settings():
        sys.exit(f"export_ticket: {unfit}")
    quiet.import_tensorflow()
    import keras_lottery as kl
    from keras_lottery.exporters import tflite

    output = Path(FLAGS.output)
    try:
        dataset = data_flags.load()
        if FLAGS.model:
            model = saved_model(FLAGS.model)
        else:
            model = trained_ticket(
                FLAGS.ticket, FLAGS.network, dataset, FLAGS.weights, FLAGS.epochs, FLAGS.seed
            )
        report = tflite.export(
            model,
            output,
            target=FLAGS.target,
            precision=FLAGS.precision,
            weigh=weights_of(FLAGS.weigh),
            samples=None if dataset is None else dataset.x_train,
            calibrate=FLAGS.samples,
            compare=FLAGS.compare,
            measure=FLAGS.measure,
            overwrite=FLAGS.overwrite,
        )
        output.with_suffix(".json").write_text(report.json(), encoding="utf-8")
        output.with_suffix(".md").write_text(report.markdown(), encoding="utf-8")
    except (OSError, ValueError, kl.MaskError, tflite.ExportError) as error:
        sys.exit(f"export_ticket: {' '.join(str(error).split())}")
    print(report)


if __name__ == "__main__":
    flags.DEFINE_string("model", None, "A Keras model's file, pruned weights zero in it.")
    flags.DEFINE_string("ticket", None, "A ticket's file.")
    flags.DEFINE_string("network", None, "What --ticket is of: a file of experiments/networks.")
    flags.DEFINE_string("weights", None, "The trained weights of --ticket, a .weights.h5 file.")
    flags.DEFINE_integer(
        "epochs", None, "Epochs to train --ticket. Default: the network's preset.", lower_bound=0
    )
    flags.DEFINE_integer("seed", 0, "Seed of the order of the examples in that training.")
    data_flags.define(default=None)
    flags.adopt_module_key_flags(data_flags)
    flags.DEFINE_integer(
        "samples",
        256,
        "How many training images to calibrate on, spread evenly over all.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "compare", 64, "How many training images to compare, spread evenly over all.", lower_bound=1
    )
    flags.DEFINE_enum(
        "target",
        "size",
        ["size", "latency", "int8", "micro", "auto"],
        "What the file should be good at: the fewest bytes; speed; integers only; TensorFlow Lite "
        "Micro; or what suits the network.",
    )
    flags.DEFINE_enum(
        "precision",
        None,
        ["float32", "float16", "int8"],
        "How to store the weights. Default: what suits the target.",
    )
    flags.DEFINE_list(
        "weigh",
        None,
        "For --target=auto, how much bytes, time and memory count, as in bytes=2,time=1. Default: "
        "all alike.",
    )
    flags.DEFINE_string("output", None, "The .tflite file to write.", required=True)
    flags.DEFINE_bool("overwrite", False, "Replace the files if they are already there.")
    flags.DEFINE_bool("measure", False, "Measure time and memory on this machine as well.")
    app.run(main)
