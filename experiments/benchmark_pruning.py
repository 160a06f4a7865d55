"""Measures one prune event, and one numpy.partition of the same weights to compare.

  python -m experiments.benchmark_pruning
  python -m experiments.benchmark_pruning --weights=25000000,100000000 --sparsity=0.2,0.8
  python -m experiments.benchmark_pruning --table=model

Two tables:

  event   The event from kernels to masks: magnitude, global scope, exact count. Its time is the
          median of the ratios of neighbouring runs; its memory is what NumPy allocates at the peak,
          the new masks included, in multiples of the kernels' bytes (float32). The goals are 3, 2.
  model   `Lottery.prune` of a Keras model with SGD: the same event, and masks and weights written
          into the model. Each row has processes of its own. Its memory is the rise of the process'
          resident memory during the event: at the peak (goal: 2), and after it, when masks and the
          values that weights had are kept.
"""

import gc
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import tracemalloc

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table

from keras_lottery.commands import quiet, script

FLAGS = flags.FLAGS

TABLES = ["event", "model"]
flags.DEFINE_multi_enum("table", TABLES, TABLES, "Which tables to print.")
flags.DEFINE_list("weights", ["25000000", "100000000"], "Numbers of weights, in eight kernels.")
flags.DEFINE_list("sparsity", ["0.2", "0.8"], "Fractions of the live weights to prune.")
flags.DEFINE_list("dead", ["0", "0.5"], "Fractions pruned at random beforehand.")
flags.DEFINE_integer("repeats", 5, "Runs of each kind.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seeds the weights.")
flags.DEFINE_list("model_of", None, "Weights, sparsity: print its numbers; `model` does it.")

# Of all the weights, one kernel each: in a network they are not of one size either.
_SHARES = (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01)


def main(argv):
    """Measures every combination of the flags, and prints a row for each."""
    script.refuse_arguments(argv)
    if FLAGS.model_of:
        count, sparsity = FLAGS.model_of
        print(json.dumps(through_a_model(int(count), float(sparsity), FLAGS.repeats)))
        return
    console = Console()
    if "event" in FLAGS.table:
        console.print(event_table())
    if "model" in FLAGS.table:
        console.print(model_table())


def event_table():
    """Print a table of all combinations of the flags, without a model."""
    table = Table("weights", "dead", "pruned", "partition s", "prune s", "time x", "memory x")
    for count in map(int, FLAGS.weights):
        for dead in map(float, FLAGS.dead):
            kernels = make_kernels(count, dead, np.random.default_rng(FLAGS.seed))
            for sparsity in map(float, FLAGS.sparsity):
                partition, prune = seconds(kernels, sparsity, FLAGS.repeats)
                ratio = statistics.median(b / a for a, b in zip(partition, prune, strict=True))
                table.add_row(
                    f"{count:,}",
                    f"{dead:.0%}",
                    f"{sparsity:.0%}",
                    f"{statistics.median(partition):.3f}",
                    f"{statistics.median(prune):.3f}",
                    f"{ratio:.2f}",
                    f"{peak_memory(kernels, sparsity):.2f}",
                )
    return table


def model_table():
    """Print a table of all combinations of the flags, through a model without dead weights."""
    table = Table("weights", "pruned", "Lottery.prune s", "least, most", "peak x", "kept x")
    for count in map(int, FLAGS.weights):
        for sparsity in map(float, FLAGS.sparsity):
            seconds = _in_a_process(count, sparsity, FLAGS.repeats, {})["seconds"]
            # What is freed goes back to the system at once: it would be counted otherwise, or the
            # event would find room in it unseen. That takes time, so it is a run of its own.
            memory = _in_a_process(count, sparsity, 1, {"MALLOC_MMAP_THRESHOLD_": "65536"})
            table.add_row(
                f"{memory['weights']:,}",
                f"{sparsity:.0%}",
                f"{statistics.median(seconds):.3f}",
                f"{min(seconds):.3f}, {max(seconds):.3f}",
                f"{memory['peak']:.2f}",
                f"{memory['kept']:.2f}",
            )
    return table


def through_a_model(count, sparsity, repeats):
    """Measure `Lottery.prune` of a new model: seconds, and bytes as multiples of the kernels'.

    The memory is that of the first event: later ones use memory that the first has left.
    """
    quiet.import_tensorflow()
    import keras_lottery as kl
    from keras_lottery.core import scopes

    found = {"seconds": []}
    for _ in range(repeats):
        gc.collect()
        lottery = kl.Lottery(model_of_eight_kernels(count, np.random.default_rng(FLAGS.seed)))
        before = _resident("VmRSS")
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        begin = time.perf_counter()
        lottery.prune(sparsity, recipe=kl.Recipe(scope=scopes.globally))
        found["seconds"].append(time.perf_counter() - begin)
        if "peak" not in found:
            found["weights"] = sum(mask.size for mask in lottery.masks.values())
            kernels = 4 * found["weights"]
            found["peak"] = (_resident("VmHWM") - before) / kernels
            found["kept"] = (_resident("VmRSS") - before) / kernels
    return found


def model_of_eight_kernels(count, rng):
    """Makes a model with eight kernels of `count` normal weights in all, give or take a row."""
    import keras

    inputs, outputs = [], []
    for share in _SHARES:
        columns = min(1000, round(share * count))
        inputs.append(keras.Input((round(share * count / columns),)))
        outputs.append(keras.layers.Dense(columns, "relu", use_bias=False)(inputs[-1]))
    model = keras.Model(inputs, outputs)
    model.compile("sgd")
    for kernel in model.trainable_variables:
        kernel.assign(rng.standard_normal(kernel.shape, np.float32))
    return model


def _in_a_process(count, sparsity, repeats, variables):
    command = [sys.executable, "-m", "experiments.benchmark_pruning"]
    command += [f"--model_of={count},{sparsity}", f"--repeats={repeats}", f"--seed={FLAGS.seed}"]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _resident(name):
    """Bytes of this process in memory: now (VmRSS), or at the peak (VmHWM)."""
    status = pathlib.Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def make_kernels(count, dead, rng):
    """Makes eight kernels of `count` normal weights in all, a fraction of them pruned."""
    quiet.import_tensorflow()
    from keras_lottery.core.kernel import Kernel

    sizes = [round(share * count) for share in _SHARES]
    return [
        Kernel.of(
            rng.standard_normal(size, np.float32),
            name=f"kernel_{index}",
            mask=rng.random(size, np.float32) >= dead,
        )
        for index, size in enumerate(sizes)
    ]


def prune_globally(kernels, sparsity):
    """Run one prune event, and return its masks."""
    from keras_lottery.core import event, scopes

    return event.prune(kernels, rate=sparsity, scope=scopes.globally)


def seconds(kernels, sparsity, repeats):
    """Time numpy.partition and the prune event by turns; return a list of seconds for each."""
    together = np.concatenate([np.abs(kernel.current) for kernel in kernels])
    return zip(
        *(
            (
                _timed(lambda: np.partition(together, int(sparsity * together.size))),
                _timed(lambda: prune_globally(kernels, sparsity)),
            )
            for _ in range(repeats)
        ),
        strict=True,
    )


def peak_memory(kernels, sparsity):
    """Return the memory of a prune event at its peak, in multiples of the kernels' bytes."""
    tracemalloc.start()
    prune_globally(kernels, sparsity)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / sum(kernel.current.nbytes for kernel in kernels)


def _timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
