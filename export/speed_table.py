"""Prints time and memory of networks that the runtime computes sparsely, and of dense ones.

  python -m export.speed_table
  python -m export.speed_table --seconds=30

Each network has its initial weights, 95 % of every kernel pruned by magnitude, one by one or in
blocks. Its dense float32 file and the exported one are timed in turns in LiteRT with XNNPACK, on
one thread, each in a process whose growth is its memory. XNNPACK computes no convolution sparsely
on processors with AVX: `export.web.benchmark_mobilenet` times these in a browser.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from absl import app, flags

from keras_lottery.commands import script

FLAGS = flags.FLAGS

SPARSITY = 0.95

HEADER = (
    "network",
    "pruned",
    "file",
    "bytes",
    "us",
    "10 % to 90 %",
    "faster",
    "memory",
    "less",
    "",
)


@dataclass(frozen=True)
class Case:
    """A network, the way it is pruned and exported, and the goals.

    Attributes:
        network: A function that builds the network; its name is in the table.
        block: The number of inputs that are pruned as one.
        options: Arguments of `tflite.export`.
        faster: The project's goal for speed, as a multiple of the dense network's.
        less: The project's goal for memory, in times less than the dense network.
    """

    network: Callable
    block: int = 1
    options: dict = field(default_factory=lambda: {"target": "latency"})
    faster: float | None = None
    less: float | None = None


def lenet_300_100():
    """LeNet-300-100 for MNIST."""
    from experiments.networks import lenet_300_100

    return lenet_300_100.build((28, 28, 1), classes=10)


def three_of_1024():
    """Three layers of 1,024 units."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(1024, "relu") for _ in range(3)]
    return keras.Sequential([keras.Input((1024,)), *layers])


CASES = [
    Case(lenet_300_100, block=4, faster=5.0),
    Case(lenet_300_100, block=16, options={"target": "latency", "precision": "int8"}),
    Case(lenet_300_100),
    Case(three_of_1024, options={"target": "auto", "weigh": {"memory": 1.0}}, less=6.0),
]


def write_files(case, folder):
    """Writes `dense.tflite` and `sparse.tflite` of one pruned network.

    Args:
        case: The `Case`.
        folder: An existing folder.

    Returns:
        Both paths.
    """
    import keras_lottery as kl
    from export import stock
    from keras_lottery.exporters import tflite

    model = case.network()
    kl.Lottery(model).prune(
        SPARSITY, recipe=kl.Recipe(granularity=kl.granularity.blocks(case.block))
    )
    kl.strip(model)
    samples = np.random.default_rng(0).random((16, *model.input_shape[1:]), np.float32)
    dense, sparse = Path(folder, "dense.tflite"), Path(folder, "sparse.tflite")
    dense.write_bytes(stock.convert(model, "float32", sparse=False))
    tflite.export(model, sparse, samples=samples, overwrite=True, **case.options)
    return dense, sparse


def rows(case, seconds):
    """Return the two rows of a case, lists of text."""
    from keras_lottery.exporters import tables, tflite

    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(case, folder)
        found = tflite.measure(paths, seconds=seconds, runtimes=["XNNPACK"])
        sizes = [tables.number(path.stat().st_size) for path in paths]
    for each in found:
        if each.failure:
            sys.exit(f"speed_table: {each.file} of {case.network.__name__} failed: {each.failure}")
    dense = found[0]
    result = []
    for size, each in zip(sizes, found, strict=True):
        name, _, median, spread, memory, *_ = each.row()
        faster, less = dense.median / each.median, dense.memory / each.memory
        cells = (size, median, spread, f"{faster:.2f} x", memory, f"{less:.2f} x")
        remark = _verdict(case, faster, less) if each is not dense else ""
        pruned = f"1x{case.block}"
        result.append((case.network.__name__, pruned, name, *cells, remark))
    return result


def _verdict(case, faster, less):
    goals = [("faster", faster, case.faster), ("less memory", less, case.less)]
    return ", ".join(
        f"goal {goal:g} x {what}: {'reached' if value >= goal else 'missed'}"
        for what, value, goal in goals
        if goal
    )


def main(argv):
    """Prints the table."""
    script.begin(argv)
    from keras_lottery.exporters import tables

    found = [row for case in CASES for row in rows(case, FLAGS.seconds)]
    print(tables.text(HEADER, found))


if __name__ == "__main__":
    flags.DEFINE_float("seconds", 10.0, "Seconds to time each network.", lower_bound=0)
    app.run(main)
