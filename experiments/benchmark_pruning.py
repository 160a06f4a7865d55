"""What one prune event costs, next to one numpy.partition of the same weights.

  python -m experiments.benchmark_pruning
  python -m experiments.benchmark_pruning --weights=25000000,100000000 --sparsity=0.2,0.8

The event is all of it, from kernels to masks: magnitude, global scope, exact count. Its time is the
median of the ratios of neighbouring runs; its memory is what NumPy allocates at the peak, the new
masks included, in multiples of the kernels' bytes (float32). The goals are 3 and 2.
"""

import statistics
import sys
import time
import tracemalloc

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table

from experiments import quiet

FLAGS = flags.FLAGS

flags.DEFINE_list("weights", ["25000000", "100000000"], "How many weights, in eight kernels.")
flags.DEFINE_list("sparsity", ["0.2", "0.8"], "Fractions to prune of what is alive.")
flags.DEFINE_list("dead", ["0", "0.5"], "Fractions pruned at random beforehand.")
flags.DEFINE_integer("repeats", 5, "Runs of each kind.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seeds the weights.")

# Of all the weights, one kernel each: in a network they are not of one size either.
_SHARES = (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01)


def main(argv):
    """Measures every combination of the flags, and prints a row for each."""
    if len(argv) > 1:
        sys.exit(f"Unexpected {argv[1]!r}: every setting is a flag, as in --repeats=5. See --help.")
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
    Console().print(table)


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
    """One prune event; returns its masks."""
    from keras_lottery.core import prune, scopes

    return prune.prune(kernels, rate=sparsity, scope=scopes.globally)


def seconds(kernels, sparsity, repeats):
    """Times both, by turns: a list for numpy.partition, and one for the prune event."""
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
    """What a prune event allocates at its peak, in multiples of the kernels' bytes."""
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
