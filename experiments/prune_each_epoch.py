"""Compares pruning at every epoch, never rewinding, with iterative pruning and rewinding.

  python -m experiments.prune_each_epoch
  python -m experiments.prune_each_epoch --dataset=mnist --data_dir=DIR --epochs=5 --seeds=3

Every method trains for the same number of epochs and keeps the same number of weights at the end
of each round. Writes a folder: flags.json, results.jsonl (a line for every method and round) and a
figure. Interrupted, the same command continues the run.
"""

from absl import app, flags

from experiments import script, settings

FLAGS = flags.FLAGS

flags.adopt_module_key_flags(settings)
flags.DEFINE_list(
    "criteria",
    "large_final,least_change,movement",
    "Criteria that rank the weights at every epoch: names of keras_lottery.criteria.",
)
flags.DEFINE_integer(
    "epochs",
    None,
    "Number of epochs in a round. Default: the iterations, in whole epochs.",
    lower_bound=1,
)


def main(argv):
    """Runs the comparison that the flags describe."""
    console = script.begin(argv)
    from experiments import each_epoch, report
    from experiments.results import Run

    with script.errors_on_one_line("prune_each_epoch", ValueError, FileNotFoundError):
        experiment = settings.experiment()
        epochs = FLAGS.epochs or max(1, round(experiment.iterations / experiment.steps))
        comparison = each_epoch.MethodComparison(experiment, FLAGS.rounds, FLAGS.criteria, epochs)
        described = experiment.to_json() | {"epochs": epochs}
        run = Run(settings.folder("prune_each_epoch"), settings.result_flags(__name__) | described)

    title = experiment.title(f"{epochs} epochs")
    script.train(
        "prune_each_epoch",
        console,
        run,
        title,
        len(comparison.missing(run)) * comparison.total * experiment.steps,
        lambda progress: each_epoch.execute(comparison, run, progress),
    )
    report.comparison(console, run, title)


if __name__ == "__main__":
    app.run(main)
