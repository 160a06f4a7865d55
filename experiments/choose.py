"""Says how sparse a model of your own can be: accuracy and bytes against sparsity, by rounds.

  python -m experiments.choose --model=mine.py:make_model --data=mine.py:load --within=0.5

`make_model()` returns a built `keras.Model`, compiled with metrics=["accuracy"]; `load()` returns
`(x, y), (x_validation, y_validation)`. The model is trained, pruned and rewound in rounds; each
round's network is exported to a verified .tflite. Without other flags: 15 rounds at a rate of 0.3,
10 epochs each in batches of 32. The folder gets choose.csv, a figure, and the chosen ticket and
.tflite. Interrupted, the same command goes on from the last round.
"""

import csv
import dataclasses
import importlib.util
import pathlib
import re
import sys

from absl import app, flags

import experiments.search_flags  # noqa: F401 (it defines those that are declared here)
from experiments import script

FLAGS = flags.FLAGS

flags.DEFINE_string("model", None, "FILE.py:FUNCTION that makes the compiled model.")
flags.DEFINE_string("data", None, "FILE.py:FUNCTION that loads the data.")
for name in ("within", "rounds", "rate", "criterion", "epochs", "batch_size", "seed", "output"):
    flags.declare_key_flag(name)

# Where a flag is not given.
WITHIN, RATE, EPOCHS, BATCH_SIZE, OUTPUT = 0.5, 0.3, 10, 32, "runs/choose"


@dataclasses.dataclass(frozen=True)
class Row:
    """One round: how sparse, how right on the validation data, how many bytes."""

    round: int
    remaining: float
    accuracy: float
    size: int


def function(text, argument):
    """Return the function that `FILE.py:NAME` names.

    Raises:
        ValueError: If there is no such file or function.
    """
    if text is None:
        raise ValueError(f"Give --{argument}=FILE.py:FUNCTION.")
    file, _, name = text.rpartition(":")
    path = pathlib.Path(file)
    if not path.is_file():
        raise ValueError(
            f"`{argument}` is {text!r}: there is no file {file!r}; write FILE.py:NAME."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    found = getattr(module, name, None)
    if not callable(found):
        raise ValueError(f"`{argument}` is {text!r}: {file} has no function {name!r}.")
    return found


def accuracy_of(model, validation):
    """The accuracy of a model on the validation data.

    Raises:
        ValueError: If the model was not compiled with that metric.
    """
    logs = model.evaluate(*validation, verbose=0, return_dict=True)
    found = next((value for name, value in logs.items() if "acc" in name), None)
    if found is None:
        raise ValueError("`model` must be compiled with metrics=['accuracy'].")
    return float(found)


def search(make_model, train, validation, folder, console):
    """Train all rounds, those of an interrupted run left out.

    Returns:
        `Row` records, and the sensitivity of each kernel: the accuracy that the dense network loses
        if 90 % of this kernel alone is pruned.
    """
    import keras_lottery as kl
    from keras_lottery.exporters import tflite

    rows, sensitivity = [], {}
    rate = RATE if FLAGS.rate is None else FLAGS.rate
    for r in kl.rounds(make_model, FLAGS.rounds, rate, FLAGS.criterion, seed=FLAGS.seed):
        if r.index == 0:
            refuse_another_start(r.ticket, folder / "round-00.ticket")
        r.ticket.save(folder / f"round-{r.index:02}.ticket")
        weights = folder / f"round-{r.index:02}.weights.h5"
        if weights.exists():
            r.model.load_weights(weights)
        else:
            kl.fit(
                r.model,
                *train,
                batch_size=FLAGS.batch_size or BATCH_SIZE,
                epochs=FLAGS.epochs or EPOCHS,
                seed=FLAGS.seed,
                callbacks=r.callbacks,
                verbose=0,
            )
            beside = weights.with_suffix(".part.h5").with_name(f"part-{r.index}.weights.h5")
            r.model.save_weights(beside)
            beside.replace(weights)
        plain = make_model()
        r.ticket.apply(plain).detach()
        plain.set_weights(r.model.get_weights())
        path = folder / f"round-{r.index:02}.tflite"
        tflite.export(plain, path, samples=validation[0], overwrite=True)
        rows.append(
            Row(r.index, r.remaining, accuracy_of(r.model, validation), path.stat().st_size)
        )
        console.print(
            f"round {r.index:2} {100 * r.remaining:6.2f} % left "
            f"{100 * rows[-1].accuracy:6.2f} % right {rows[-1].size:10,} bytes"
        )
        if r.index == 0:
            sensitivity = losses(plain, list(r.alive_counts), rows[0].accuracy, validation)
    return rows, sensitivity


def refuse_another_start(ticket, path):
    """Raise a `ValueError` if the model begins with other weights than before an interruption.

    Args:
        ticket: The ticket of round 0, whose values are the initial weights.
        path: The one of the interrupted run, if there was one.
    """
    import numpy as np

    import keras_lottery as kl

    if not path.exists():
        return
    before = kl.Ticket.load(path).values.values()
    if not all(map(np.array_equal, before, ticket.values.values())):
        raise ValueError(
            f"`model` makes other weights than those that {path.parent} began with: begin "
            "make_model with keras.utils.set_random_seed(0), or choose another --output."
        )


def losses(model, kernels, dense, validation):
    """By kernel, the accuracy that a model loses if 90 % of this kernel alone is pruned."""
    import keras_lottery as kl

    found = {}
    before = model.get_weights()
    for name in kernels:
        lottery = kl.Lottery(model, kl.Recipe(include=f"^{re.escape(name)}$"))
        lottery.prune(0.9)
        found[name] = dense - accuracy_of(model, validation)
        lottery.detach()
        model.set_weights(before)
    return found


def chosen(rows, within):
    """The smallest file of those within so many points of the dense network.

    >>> chosen([Row(0, 1.0, 0.98, 100), Row(1, 0.5, 0.978, 60), Row(2, 0.2, 0.9, 30)], 0.5).round
    1
    """
    near = [row for row in rows if row.accuracy >= rows[0].accuracy - within / 100 - 1e-9]
    return min(near, key=lambda row: row.size)


def figure(rows, sensitivity, best, path):
    """Draw accuracy and bytes against the weights remaining, and the kernels' sensitivity."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    drawing = Figure(figsize=(9, 4), layout="constrained")
    left, right = drawing.subplots(1, 2)
    remaining = [row.remaining for row in rows]
    left.plot(remaining, [row.accuracy for row in rows], "o-", color="#0072B2", markersize=4)
    left.plot([best.remaining], [best.accuracy], "o", color="#D55E00", label="chosen")
    for row in (rows[0], best):
        left.annotate(
            f"{row.size:,} bytes",
            (row.remaining, row.accuracy),
            xytext=(0, -14),
            textcoords="offset points",
            fontsize="small",
        )
    left.set_xscale("log")
    left.invert_xaxis()
    left.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    left.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    left.set_xlabel("Weights remaining")
    left.set_ylabel("Validation accuracy")
    left.legend(frameon=False)
    right.barh(list(sensitivity), [100 * loss for loss in sensitivity.values()], color="#0072B2")
    right.invert_yaxis()
    right.set_xlabel("Points lost if 90 % of this kernel alone is pruned")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(path, dpi=150)


def main(argv):
    """Chooses a sparsity for the model that the flags name."""
    console = script.begin(argv)
    from keras_lottery.scorers._fingerprint import fingerprint

    with script.errors_on_one_line("choose", ValueError, OSError, ImportError):
        make_model = function(FLAGS.model, "model")
        train, validation = function(FLAGS.data, "data")()
        folder = pathlib.Path(FLAGS.output or OUTPUT)
        folder.mkdir(parents=True, exist_ok=True)
        data = {"data fingerprint": fingerprint(train)}
        script.same_flags(folder / "flags.json", __name__, data)
    try:
        with script.errors_on_one_line("choose", ValueError, OSError):
            rows, sensitivity = search(make_model, train, validation, folder, console)
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command goes on from the last round in {folder}.")
    best = chosen(rows, WITHIN if FLAGS.within is None else FLAGS.within)
    with open(folder / "choose.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in dataclasses.fields(Row)])
        writer.writerows(dataclasses.astuple(row) for row in rows)
    figure(rows, sensitivity, best, folder / "choose.png")
    worst = max(sensitivity, key=sensitivity.get)
    dense = rows[0]
    console.print(
        f"\nKeep {100 * best.remaining:.3g} % of the weights (round {best.round}): "
        f"{100 * best.accuracy:.2f} % right, where the dense network has "
        f"{100 * dense.accuracy:.2f} %, and {best.size:,} bytes in place of {dense.size:,}.\n"
        f"Most sensitive is {worst}: without 90 % of it alone the dense network loses "
        f"{100 * sensitivity[worst]:.1f} points.\n"
        f"One seed; a validation example weighs {100 / len(validation[0]):.2g} points.\n"
        f"Files: {folder / f'round-{best.round:02}.ticket'}, "
        f"{folder / f'round-{best.round:02}.tflite'}, {folder / 'choose.png'}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    app.run(main)
