"""`Progress` shows a bar over all iterations of a run, and a line for every network."""

from rich import progress

from experiments.summary import percent


class Progress:
    """A bar with the time left, on a terminal; a context manager.

    Args:
        console: A `rich.console.Console`.
        iterations: The number of iterations that the run has still to do.
    """

    def __init__(self, console, iterations):
        self._bar = progress.Progress(
            progress.TextColumn("training"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=iterations)
        self._console = console

    def __enter__(self):
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_):
        """Leaves it as it is."""
        self._bar.stop()

    def advance(self, iterations):
        """Counts iterations that were done."""
        self._bar.advance(self._task, iterations)

    def announce(self, result):
        """Prints the line of a `Result`."""
        self._console.print(
            f"seed {result.seed} round {result.index:2} {result.variant:17} "
            f"{percent(result.remaining):>5} % left {100 * result.test_accuracy:6.2f} % right "
            f"{result.seconds:6.1f} s {result.fused}"
        )
