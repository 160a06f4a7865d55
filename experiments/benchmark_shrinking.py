"""Measures what shrinking wins: Conv-4 without 70 % of its units, before and after.

  python -m experiments.benchmark_shrinking
  python -m experiments.benchmark_shrinking --sparsity=0.5 --seconds=60

Conv-4 for CIFAR-10 has its initial kernels and random biases, since those of a trained network are
not zero: then pruned units are constant, and borders keep one of them in each convolution. Whole
units are pruned by magnitude in every layer but the output. The dense float32 files of the pruned
network and of the shrunk one take turns in LiteRT, on one thread, with XNNPACK and with the
built-in kernels. How many times faster the shrunk one is, the table says of the medians and of the
10th percentiles, which other work on the machine disturbs less. The goal is 2.5.
"""

import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from keras_lottery.commands import script

FLAGS = flags.FLAGS

HEADER = ("file", "runtime", "bytes", "us", "10 % to 90 %", "faster", "at 10 %", "memory")


def main(argv):
    """Prints what goes, and the table."""
    script.begin(argv)
    import keras_lottery as kl
    from keras_lottery.exporters import tables

    model = pruned_network(FLAGS.sparsity, FLAGS.seed)
    print(kl.shrink_report(model), end="\n\n")
    small = kl.shrink(model)
    print(f"The answers differ by {difference(model, small):.1e} of the largest.\n")
    print(tables.text(HEADER, rows(model, small, FLAGS.seconds)))


def pruned_network(sparsity, seed):
    """Make Conv-4 with random biases, a fraction of the units of each layer pruned."""
    import keras_lottery as kl
    from experiments.networks import conv4

    model = conv4.build((32, 32, 3), classes=10, seed=seed)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights:
            layer.bias.assign(rng.normal(scale=0.1, size=layer.bias.shape))
    units = kl.Recipe(granularity=kl.granularity.units(), exclude="^output/")
    kl.Lottery(model, units).prune(sparsity)
    return kl.strip(model)


def difference(model, small):
    """Return how far the answers of two models are apart, as a fraction of the largest."""
    images = np.random.default_rng(0).random((16, 32, 32, 3), np.float32)
    expected = np.asarray(model(images))
    return np.abs(np.asarray(small(images)) - expected).max() / np.abs(expected).max()


def rows(model, small, seconds):
    """Time both models; return a row of text for each file and runtime."""
    from keras_lottery.exporters import tables, tflite

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, "pruned.tflite"), Path(folder, "shrunk.tflite")]
        for path, one in zip(paths, (model, small), strict=True):
            path.write_bytes(dense_file(one))
        sizes = [tables.number(path.stat().st_size) for path in paths] * 2
        found = tflite.measure(paths, seconds=seconds)
    pruned = {each.runtime: each for each in found[::2]}
    result = []
    for size, each in zip(sizes, found, strict=True):
        name, runtime, median, spread, memory, *_ = each.row()
        faster = pruned[runtime].median / each.median
        at_best = pruned[runtime].low / each.low
        ratios = (f"{faster:.1f} x", f"{at_best:.1f} x")
        result.append((name, runtime, size, median, spread, *ratios, memory))
    return result


def dense_file(model):
    """Convert a model to a dense float32 .tflite file for one image."""
    from keras_lottery.exporters.tflite.conversion import convert, signature

    return convert.convert(model, signature.infer(model, None, 1))


if __name__ == "__main__":
    flags.DEFINE_float("sparsity", 0.7, "The fraction of units to prune in each layer.")
    flags.DEFINE_float("seconds", 30.0, "How long to time in each runtime.", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "Seeds the weights.")
    app.run(main)
