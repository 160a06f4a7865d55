"""Reports a finished run: a table, sentences, figures, and the best ticket."""

import json

import keras_lottery as kl
from experiments import figures, search, summary
from experiments.results import ResultsError


def ticket(console, run, title, tolerance):
    """Draws the figures of a search, and prints its table and what it found.

    Args:
        console: A `rich.console.Console`.
        run: `results.Run`, finished.
        title: The line that says what was run.
        tolerance: The difference in accuracy that counts as none, a fraction.
    """
    figures.accuracy(run.results, title, run.file("accuracy.png"))
    figures.early_stopping(run.results, title, run.file("early_stopping.png"))
    console.print(f"\n{title}", summary.table(run.results, summary.COLUMNS), sep="\n")
    console.print(
        "test: accuracy after the last iteration; stops at: iteration of minimum validation loss; "
        "means over the seeds\n"
    )
    for sentence in summary.findings(run.results, search.TICKET, tolerance):
        console.print(sentence)
    console.print(f"\nFigures: {run.file('accuracy.png')}, {run.file('early_stopping.png')}")


def comparison(console, run, title):
    """Reports a comparison of methods of pruning, which have no early stopping."""
    figures.accuracy(run.results, title, run.file("accuracy.png"))
    console.print(f"\n{title}", summary.table(run.results, ["test_accuracy"]), sep="\n")
    console.print("test: accuracy at the end of the round; means over the seeds\n")
    for sentence in summary.comparison(run.results):
        console.print(sentence)
    console.print(f"\nFigure: {run.file('accuracy.png')}")


def export(console, run, experiment, tolerance):
    """Puts the best ticket of a run in its folder: the ticket, the trained model, the TFLite file.

    The best ticket is the smallest within the tolerance of the dense network, or the most accurate
    if none is within it; of its seeds, the most accurate. Validation examples decide, not test
    examples.
    """
    from keras_lottery.exporters import tflite

    best = _best(run.results, tolerance)
    ticket = _ticket_of(best, search.ticket_file(run, best.seed, best.index))
    dataset = experiment.dataset
    model = experiment.network.build(dataset.shape, dataset.classes)
    ticket.apply(model)
    model.load_weights(search.weights_file(run, best.seed, best.index))
    # Verifies that the trained weights are those of the ticket.
    kl.strip(model)
    ticket.save(run.file("best.ticket"))
    model.save(run.file("best.keras"))
    exported = tflite.export(model, run.file("best.tflite"), samples=dataset.x_test, overwrite=True)
    console.print(
        f"Best ticket: round {best.index} of seed {best.seed}, "
        f"{summary.percent(best.remaining)} % of the weights.",
    )
    console.print(str(exported), soft_wrap=True)
    console.print(f"Files: {', '.join(str(run.file('best' + end)) for end in _ENDINGS)}")


_ENDINGS = (".ticket", ".keras", ".tflite")


def _ticket_of(result, path):
    """The ticket of a result, which it says itself."""
    ticket = kl.Ticket.load(path)
    # As text: NaN is not equal to itself.
    if json.dumps(ticket.metadata.get("history")) != json.dumps([search.history_of(result)]):
        raise ResultsError(
            f"{path} is not the ticket of the result in results.jsonl: round {result.index} of "
            f"seed {result.seed}. Remove that line, and the network is trained again."
        )
    return ticket


def _best(results, tolerance):
    tickets = [result for result in results if result.variant == search.TICKET]
    smallest = summary.smallest_within(results, search.TICKET, tolerance)
    if smallest is not None:
        tickets = [result for result in tickets if result.index == smallest.index]
    return max(tickets, key=lambda result: result.validation_accuracy)
