"""Compares pruning at every epoch, never rewinding, with iterative pruning and rewinding.

  python -m experiments.prune_each_epoch
  python -m experiments.prune_each_epoch --dataset=mnist --data_dir=DIR --epochs=5 --seeds=3

Every method trains for the same number of epochs and keeps the same number of weights at the end
of each round. Writes a folder: flags.json, results.jsonl (a line for every method and round) and a
figure. Interrupted, the same command continues the run.
"""

import sys

from absl import app, flags
from rich.console import Console

from experiments import quiet, settings

FLAGS = flags.FLAGS

flags.adopt_module_key_flags(settings)
flags.DEFINE_list(
    "criteria",
    "large_final,least_change,movement",
    "What ranks the weights at every epoch: names of keras_lottery.criteria.",
)
flags.DEFINE_integer(
    "epochs", None, "Epochs of a round. Default: the iterations, in whole epochs.", lower_bound=1
)


def main(argv):
    """Runs the comparison that the flags describe."""
    if len(argv) > 1:
        sys.exit(f"Unexpected {argv[1]!r}: every setting is a flag, as in --rounds=5. See --help.")
    quiet.import_tensorflow()
    from experiments import each_epoch, report
    from experiments.progress import Progress
    from experiments.results import Run

    console = Console(highlight=False, markup=False)
    try:
        experiment = settings.experiment()
        epochs = FLAGS.epochs or max(1, round(experiment.iterations / experiment.steps))
        comparison = each_epoch.Comparison(experiment, FLAGS.rounds, FLAGS.criteria, epochs)
        recorded = experiment.recorded() | {"epochs": epochs}
        run = Run(settings.folder("prune_each_epoch"), settings.deciding(__name__) | recorded)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"prune_each_epoch: {error}")

    title = experiment.title(f"{epochs} epochs")
    console.print(f"{title}; results go to {run.folder}")
    trainings = len(comparison.missing(run))
    try:
        with Progress(console, trainings * comparison.total * experiment.steps) as progress:
            each_epoch.execute(comparison, run, progress)
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command continues the run in {run.folder}.")
    except ValueError as error:
        sys.exit(f"prune_each_epoch: {error}")
    report.comparison(console, run, title)


if __name__ == "__main__":
    app.run(main)
