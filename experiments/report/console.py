"""Reports a finished run: a table, sentences, figures, and the best ticket."""

import keras_lottery as kl
from experiments import training
from experiments.methods import TICKET
from experiments.report import figures, summary
from keras_lottery.model import assignment
from keras_lottery.tickets.snapshot_arrays import snapshot_from


def ticket(console, run, results, title, tolerance):
    """Draws the figures of a search, and prints its table and what it found.

    Args:
        console: A `rich.console.Console`.
        run: `results.Run`.
        results: Its `Result` records.
        title: The line that says what was run.
        tolerance: The difference in accuracy that counts as none, a fraction.
    """
    figures.accuracy(results, title, run.file("accuracy.png"))
    figures.early_stopping(results, title, run.file("early_stopping.png"))
    run.write_table(results)
    console.print(f"\n{title}", summary.table(results, summary.COLUMNS), sep="\n")
    console.print(
        "test: accuracy after the last iteration; stops at: iteration of minimum validation loss; "
        "means over the seeds\n"
    )
    for sentence in summary.findings(results, TICKET, tolerance):
        console.print(sentence)
    console.print(f"\nFigures: {run.file('accuracy.png')}, {run.file('early_stopping.png')}")


def comparison(console, run, results, title, epochs):
    """Reports a comparison of methods of pruning, which have no early stopping.

    Args:
        console: A `rich.console.Console`.
        run: `results.Run`.
        results: Its `Result` records.
        title: The line that says what was run.
        epochs: The number of epochs in a round.
    """
    figures.accuracy(results, title, run.file("accuracy.png"))
    run.write_table(results)
    console.print(f"\n{title}", summary.table(results, ["test_accuracy"]), sep="\n")
    console.print(
        "test: accuracy at the end of the round; means over the seeds. In round r a network has "
        f"had {epochs} * (r + 1) epochs in one training; with rewinding, {epochs} epochs from its "
        "start, and those of the rounds before went into its masks.\n"
    )
    for sentence in summary.comparison(results):
        console.print(sentence)
    console.print(f"\nFigure: {run.file('accuracy.png')}")


def export(console, run, results, store, experiment, tolerance):
    """Puts the best ticket of a run in its folder: the ticket, the trained model, the TFLite file.

    The best ticket is the smallest within the tolerance of the dense network, or the most accurate
    if none is within it; of its seeds, the most accurate. Validation examples decide, not test
    examples.

    Raises:
        PieceError: If the piece is damaged.
        MaskError: If its trained weights are not those of its ticket.
    """
    if all(result.variant != TICKET for result in results):
        raise ValueError("There is no ticket to export.")
    best = _best(results, tolerance)
    ticket, model = of_piece(experiment, store, best)
    ticket.save(run.file("best.ticket"))
    model.save(run.file("best.keras"))
    exported = to_tflite(model, experiment, run.file("best.tflite"))
    console.print(
        f"Best ticket: round {best.index} of seed {best.seed}, "
        f"{summary.percent(best.remaining)} % of the weights.",
    )
    console.print(str(exported), soft_wrap=True)
    console.print(f"Files: {', '.join(str(run.file('best' + end)) for end in _ENDINGS)}")


def of_piece(experiment, store, result):
    """Return the ticket of a result, and its trained model, stripped of the masks.

    Raises:
        PieceError: If the piece is damaged.
        MaskError: If its trained weights are not those of its ticket.
    """
    piece = store.load(result.piece)
    ticket = piece.ticket()
    model = training.make_model(experiment, result.seed)
    lottery = ticket.apply(model)
    _, arrays, numbers = piece.trained()
    trained, _ = snapshot_from(arrays, numbers["step"], model)
    assignment.assign(model, trained.values)
    # Verifies that the trained weights are those of the ticket.
    lottery.check()
    kl.strip(model)
    return ticket, model


def to_tflite(model, experiment, path, measure=False):
    """Export a model with the test images as samples; return the exporter's `Report`."""
    from keras_lottery.exporters import tflite

    samples = experiment.dataset.x_test
    return tflite.export(model, path, samples=samples, overwrite=True, measure=measure)


_ENDINGS = (".ticket", ".keras", ".tflite")


def _best(results, tolerance):
    tickets = [result for result in results if result.variant == TICKET]
    smallest = summary.smallest_within(results, TICKET, tolerance)
    if smallest is not None:
        tickets = [result for result in tickets if result.index == smallest.index]
    return max(tickets, key=lambda result: result.measures["validation_accuracy"])
