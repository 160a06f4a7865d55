"""The common part of the scripts that train: they begin, train, and end on one line at errors."""

import contextlib
import json
import sys

from rich.console import Console

from keras_lottery.commands import script


def begin(argv):
    """Refuses arguments that are no flags, imports TensorFlow, and returns a console."""
    script.begin(argv)
    return Console(highlight=False, markup=False)


@contextlib.contextmanager
def errors_on_one_line(name, *errors):
    """Ends a script with one line, and no traceback, at one of these errors."""
    try:
        yield
    except errors as error:
        sys.exit(f"{name}: {' '.join(str(error).split())}")


def same_flags(path, module, others):
    """Write a script's flags beside its results, or refuse a folder of a run with other ones.

    Args:
        path: The file with the flags.
        module: The script's `__name__`.
        others: What else must be as before, by name.

    Raises:
        ValueError: If the folder's flags differ; the message names them.
    """
    from absl import flags

    from keras_lottery.core import atomic_file

    own = flags.FLAGS.get_key_flags_for_module(sys.modules[module])
    now = {flag.name: flag.value for flag in own if flag.name not in ("output", "within")}
    now |= others
    if path.exists():
        before = json.loads(path.read_text())
        differing = [
            f"--{name}={before.get(name)} (now {now[name]})"
            for name in now
            if before.get(name) != now[name]
        ]
        if differing:
            raise ValueError(
                f"{path.parent} holds a run with other flags: {', '.join(differing)}. Repeat them "
                "to continue it, or choose another --output."
            )
    atomic_file.write(path, json.dumps(now).encode())


def train(name, console, run, title, experiment, plan):
    """Trains the networks of a plan that are not there yet, and shows how it goes.

    Args:
        name: The name of the script.
        console: A `rich.console.Console`.
        run: `results.Run`.
        title: The line that says what is run.
        experiment: The `Experiment`.
        plan: `methods.Planned` networks.

    Returns:
        The `Store`, and the `Result` records of the plan.
    """
    from absl import flags

    from experiments import results
    from experiments.engine import Engine
    from experiments.pieces.store import Store
    from experiments.progress import Progress

    store = Store(flags.FLAGS.pieces)
    console.print(f"{title}; the report goes to {run.folder}, networks to {store.folder}")
    try:
        with errors_on_one_line(name, ValueError, OSError), Progress(console) as progress:
            Engine(experiment, store, progress, flags.FLAGS.other_versions).run(plan)
            return store, results.of_plan(store, plan)
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command goes on from what is in {store.folder}.")
