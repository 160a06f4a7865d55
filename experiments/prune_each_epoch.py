"""Compares pruning at every epoch, never rewinding, with iterative pruning and rewinding.

  python -m experiments.prune_each_epoch
  python -m experiments.prune_each_epoch --dataset=mnist --data_dir=DIR --epochs=5 --seeds=3

Every method trains for the same number of epochs in all, in rounds of equal length, and keeps the
same number of weights at the end of each round. They share the first round, which is dense. Trained
networks are kept in --pieces, the report goes to a folder: run.json, results.csv (a line for every
method and round) and a figure. Interrupted, the same command goes on.
"""

import dataclasses

from absl import app
from absl import flags as absl_flags

from experiments import flags, script

FLAGS = absl_flags.FLAGS

absl_flags.adopt_module_key_flags(flags)
absl_flags.DEFINE_list(
    "criteria",
    "large_final,least_change,movement",
    "Criteria that rank the weights at every epoch: names of keras_lottery.criteria.",
)

REWINDING = "rewinding"


def plan(settings, experiment, criteria):
    """Return the networks of all methods.

    Args:
        settings: `settings.Settings`, of whole epochs.
        experiment: The `Experiment`.
        criteria: The names of the criteria that rank weights at every epoch.
    """
    from experiments import methods
    from experiments.methods import _rounds, every_epoch, iterative

    networks = []
    whole = every_epoch.in_epochs(
        settings, experiment, every_epoch.epochs_of(settings, experiment) * (settings.rounds + 1)
    )
    for seed in settings.seeds:
        dense = _rounds.dense(whole, experiment, seed)
        networks.append(methods.Planned(methods.DENSE, 0, dense))
        for criterion in criteria:
            recipe = dataclasses.replace(settings.recipe, criterion=criterion)
            one = dataclasses.replace(settings, recipe=recipe)
            rounds = every_epoch.plan(one, experiment, seed)
            networks += [dataclasses.replace(p, variant=criterion) for p in rounds]
        rounds = iterative.plan(settings, experiment, seed)
        networks += [dataclasses.replace(p, variant=REWINDING) for p in rounds]
    return networks


def main(argv):
    """Runs the comparison that the flags describe."""
    console = script.begin(argv)
    from experiments.methods import every_epoch
    from experiments.report import console as reports
    from experiments.results import Run
    from keras_lottery.core import criteria, lookup

    with script.errors_on_one_line("prune_each_epoch", ValueError, OSError):
        for name in FLAGS.criteria:
            lookup.get(criteria, name)
        settings = flags.settings(controls=())
        experiment = flags.experiment(settings)
        epochs = FLAGS.epochs or every_epoch.epochs_of(settings, experiment)
        settings = every_epoch.in_epochs(settings, experiment, epochs)
        experiment = dataclasses.replace(experiment, training=settings.training)
        networks = plan(settings, experiment, FLAGS.criteria)
        run = Run(flags.folder("prune_each_epoch", settings))
        run.describe({"settings": settings.to_json()}, networks)

    title = experiment.title(len(settings.seeds), f"{epochs} epochs")
    _, results = script.train("prune_each_epoch", console, run, title, experiment, networks)
    with script.errors_on_one_line("prune_each_epoch", ValueError, OSError):
        reports.comparison(console, run, results, title, epochs)


if __name__ == "__main__":
    app.run(main)
