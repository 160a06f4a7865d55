"""Finds a winning ticket: train, prune, rewind, repeat, and compare with controls.

  python -m experiments.find_ticket
  python -m experiments.find_ticket --dataset=mnist --data_dir=DIR --scale=0.24 --seeds=3
  python -m experiments.find_ticket --dataset=cifar10 --network=conv2 --controls=reinit,random_mask

Writes a folder: flags.json, results.jsonl (a line for every network trained), the tickets and
trained weights of every round, and two figures. Interrupted, the same command continues the run.
"""

from absl import app, flags

from experiments import script, settings

FLAGS = flags.FLAGS

flags.adopt_module_key_flags(settings)
flags.DEFINE_enum(
    "scheme",
    "iterative",
    ["iterative", "one_shot"],
    "Prune a little in every round, or to every round's sparsity at once from the dense network.",
)
flags.DEFINE_string(
    "criterion",
    "large_final",
    "Criterion that ranks the weights: a name of keras_lottery.criteria or keras_lottery.scorers.",
)
flags.DEFINE_integer(
    "scored_images",
    256,
    "Training images that a scorer such as snip measures with, as many of each class.",
    lower_bound=1,
)
flags.DEFINE_string(
    "restart_from",
    "rewind",
    "Action that says what survivors restart from: a name of keras_lottery.restart_from.",
)
flags.DEFINE_string(
    "hold_at",
    "zero",
    "Action that says where pruned weights are held: a name of keras_lottery.hold_at.",
)
flags.DEFINE_string(
    "rewind",
    "start",
    "Where to rewind to: start, step:500, epoch:2; learning_rate rewinds only the optimizer, none "
    "trains on. From an epoch, training goes on with the batches of the next one; from a step, the "
    "order of the batches restarts at the first.",
)
flags.DEFINE_list(
    "controls",
    "reinit",
    "Controls to compare the ticket with: reinit, random_mask, shuffle_layerwise.",
)
flags.DEFINE_list("control_rounds", [], "Rounds that have controls, as in 5,10,15. Default: all.")
flags.DEFINE_float(
    "within",
    None,
    "Points of accuracy below the dense network that count as none. Default: 0.3, or what one "
    "validation image weighs if that is more.",
    lower_bound=0,
)
flags.DEFINE_bool("export", False, "Export the best ticket, trained, to TFLite and verify it.")


def tolerance(experiment):
    """Return the difference in accuracy that counts as none, a fraction."""
    if FLAGS.within is not None:
        return FLAGS.within / 100
    return max(0.003, 1 / experiment.validation)


def main(argv):
    """Runs the search that the flags describe."""
    console = script.begin(argv)
    import keras_lottery as kl
    from experiments import report
    from experiments import search as searches
    from experiments.results import Run

    with script.errors_on_one_line("find_ticket", ImportError, ValueError, FileNotFoundError):
        if FLAGS.export:
            # A missing package is better named now than after the training.
            from keras_lottery.exporters import tflite
        experiment = settings.experiment()
        search = searches.Search(
            experiment,
            scheme=getattr(searches, FLAGS.scheme),
            count=FLAGS.rounds,
            recipe=kl.Recipe(
                FLAGS.criterion,
                scope=experiment.scope,
                restart_from=FLAGS.restart_from,
                hold_at=FLAGS.hold_at,
                exclude=experiment.network.PRESET.exclude,
            ),
            scored_images=FLAGS.scored_images,
            rewind=searches.rewind_policy(FLAGS.rewind),
            controls=searches.controls(FLAGS.controls, FLAGS.control_rounds, FLAGS.rounds),
        )
        run = Run(
            settings.folder("find_ticket"), settings.result_flags(__name__) | experiment.to_json()
        )

    title = experiment.title(f"{experiment.iterations:,} iterations")
    missing = sum(len(search.missing(run, seed)) for seed in experiment.seeds)
    script.train(
        "find_ticket",
        console,
        run,
        title,
        missing * experiment.iterations,
        lambda progress: searches.execute(search, run, progress),
    )
    report.ticket(console, run, title, tolerance(experiment))
    if FLAGS.export:
        with script.errors_on_one_line("find_ticket", kl.MaskError, ValueError, tflite.ExportError):
            report.export(console, run, experiment, tolerance(experiment))


if __name__ == "__main__":
    app.run(main)
