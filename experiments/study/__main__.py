"""Runs a study: a search over a grid or ranges of settings, by any number of processes.

  python -m experiments.study --study=FILE.toml
  python -m experiments.study --study=FILE.toml --storage=postgresql+psycopg://host/name

Any number of processes, on machines that share --pieces and the storage, run the same command; each
takes trials until there is none left. Interrupted or killed, the same command goes on. The report
goes to a folder: results.csv, a figure, and with objective = "phone" the .tflite files.
docs/experiments.md says what the file may hold.
"""

import functools
import pathlib
import sys

from absl import app, flags

import experiments.flags  # noqa: F401 (it defines those that are declared here)
from experiments import script

FLAGS = flags.FLAGS

flags.DEFINE_string("study", None, "The study's file.")
flags.DEFINE_string("storage", None, "URL of a database. Default: SQLite in the study's folder.")
for name in ("output", "pieces", "data_dir", "download", "other_versions"):
    flags.declare_key_flag(name)


class _Counting:
    """A listener that also counts which pieces were found and which were trained here."""

    def __init__(self, progress):
        self._progress = progress
        self.found, self.trained = set(), set()
        self.begin, self.advance, self.say = progress.begin, progress.advance, progress.say

    def announce(self, planned, stored, found):
        if stored.name in self.found | self.trained:
            return
        (self.found if found else self.trained).add(stored.name)
        if not found:
            self._progress.announce(planned, stored, found)


def main(argv):
    """Runs the study that the flags name."""
    console = script.begin(argv)
    from experiments import experiment, methods
    from experiments.pieces.store import Store
    from experiments.progress import Progress
    from experiments.report import figures
    from experiments.results import Run
    from experiments.study import definition, storage
    from experiments.study.outcome import Outcome, results
    from experiments.study.worker import Worker

    load = functools.cache(
        functools.partial(experiment.load, data_dir=FLAGS.data_dir, download=FLAGS.download)
    )

    def plan(settings):
        return methods.plan(
            settings, experiment.Experiment(settings.training, load(settings.images))
        )

    with script.errors_on_one_line("study", ValueError, OSError):
        if FLAGS.study is None:
            raise ValueError("Name the study's file: --study=FILE.toml.")
        defined = definition.read(FLAGS.study)
        run = Run(FLAGS.output or f"runs/study-{defined.name}")
        study = storage.join(defined, pathlib.Path(run.folder), FLAGS.storage)
    store = Store(FLAGS.pieces)
    console.print(f"Study {defined.name}; the report goes to {run.folder}")
    try:
        with (
            script.errors_on_one_line("study", ValueError, OSError),
            Progress(console) as progress,
        ):
            counting = _Counting(progress)
            Worker(defined, study, store, counting, load, run.folder, FLAGS.other_versions).work()
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command goes on from what is in {store.folder}.")
    with script.errors_on_one_line("study", ValueError, OSError):
        outcome = Outcome.of(defined, study)
        found = results(defined, outcome.trials, store, plan)
        run.write_table(found)
        run.describe({"study": defined.to_json()}, found)
        console.print(f"\nStudy {defined.name}", outcome.table(), sep="\n")
        console.print("mean validation accuracy over the seeds, %, at weights remaining\n")
        for sentence in outcome.sentences():
            console.print(sentence, soft_wrap=True)
        console.print(
            f"This worker found {len(counting.found)} networks and trained {len(counting.trained)}."
        )
        title = f"Study {defined.name}"
        figures.accuracy(found, title, run.file("accuracy.png"))
        console.print(f"Figure: {run.file('accuracy.png')}", soft_wrap=True)


if __name__ == "__main__":
    app.run(main)
