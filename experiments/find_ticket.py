"""Finds a winning ticket: train, prune, rewind, repeat, and compare with controls.

  python -m experiments.find_ticket
  python -m experiments.find_ticket --dataset=mnist --data_dir=DIR --scale=0.24 --seeds=3
  python -m experiments.find_ticket --dataset=cifar10 --network=conv2 --controls=reinit,random_mask

Trained networks are kept in --pieces, where every script finds them: interrupted, the same command
goes on, and more --rounds or --seeds train only what is new. The report goes to a folder: run.json,
results.csv (a line for every network) and two figures.
"""

import dataclasses

from absl import app
from absl import flags as absl_flags

from experiments import flags, script, search_flags

FLAGS = absl_flags.FLAGS

absl_flags.adopt_module_key_flags(flags)
absl_flags.adopt_module_key_flags(search_flags)
absl_flags.DEFINE_bool("export", False, "Export the best ticket, trained, to TFLite and verify it.")


def tolerance(experiment):
    """Return the difference in accuracy that counts as none, a fraction."""
    if FLAGS.within is not None:
        return FLAGS.within / 100
    return max(0.003, 1 / experiment.validation)


def main(argv):
    """Runs the search that the flags describe."""
    console = script.begin(argv)
    import keras_lottery as kl
    from experiments import methods
    from experiments.methods import every_epoch
    from experiments.report import console as reports
    from experiments.results import Run

    with script.errors_on_one_line("find_ticket", ImportError, ValueError, OSError):
        if FLAGS.export:
            # A missing package is better named now than after the training.
            from keras_lottery.exporters import tflite
        settings = flags.settings()
        experiment = flags.experiment(settings)
        if FLAGS.epochs:
            settings = every_epoch.in_epochs(settings, experiment, FLAGS.epochs)
            experiment = dataclasses.replace(experiment, training=settings.training)
        plan = methods.plan(settings, experiment)
        run = Run(flags.folder("find_ticket", settings))
        run.describe({"settings": settings.to_json()}, plan)

    length = f"{settings.training.iterations:,} iterations"
    title = experiment.title(len(settings.seeds), length)
    store, results = script.train("find_ticket", console, run, title, experiment, plan)
    with script.errors_on_one_line("find_ticket", ValueError, OSError):
        reports.ticket(console, run, results, title, tolerance(experiment))
    if FLAGS.export:
        errors = (kl.MaskError, ValueError, OSError, tflite.ExportError)
        with script.errors_on_one_line("find_ticket", *errors):
            reports.export(console, run, results, store, experiment, tolerance(experiment))


if __name__ == "__main__":
    app.run(main)
