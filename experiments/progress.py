"""`Progress` shows what an engine does: a bar over all iterations, and a line for every network."""

from rich import progress

from experiments.report.summary import percent


class Progress:
    """A bar with the time left, on a terminal; an `engine.Listener` and a context manager.

    Args:
        console: A `rich.console.Console`.
    """

    def __init__(self, console):
        self._bar = progress.Progress(
            progress.TextColumn("training"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=0)
        self._console = console

    def __enter__(self):
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_):
        """Leaves it as it is."""
        self._bar.stop()

    def begin(self, iterations):
        """Shows how many iterations are missing."""
        self._bar.update(self._task, total=iterations)

    def advance(self, iterations):
        """Counts iterations that were done."""
        self._bar.advance(self._task, iterations)

    def announce(self, planned, stored, found):
        """Prints the line of a network that was trained now."""
        measures = stored.measures
        took = "found" if found else f"{measures['seconds']:6.1f} s {measures['fused']}"
        self._console.print(
            f"seed {planned.piece.seed} round {planned.index:2} {planned.variant:17} "
            f"{percent(1 - measures['sparsity']):>5} % left "
            f"{100 * measures['test_accuracy']:6.2f} % right {took}"
        )

    def say(self, message):
        """Prints a message."""
        self._console.print(message, soft_wrap=True)
