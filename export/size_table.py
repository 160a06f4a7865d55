"""Prints bytes of dense files, of TensorFlow's own sparse ones, and of this package's.

  python -m export.size_table
  python -m export.size_table --networks=lenet_300_100 --sparsity=0.9

Each network has its initial weights, the smallest of every layer pruned. TensorFlow's converter
makes every kind of sparse file; each is tried in LiteRT with its defaults, and the smallest file
with right outputs counts.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from export import stock
from keras_lottery.commands import script

FLAGS = flags.FLAGS

# Bytes to reach at 95 % zeros, raw and where there is one gzipped, as set by the project.
GOALS = {"lenet_300_100": (40_600, 29_400), "conv4": (304_000, None), "conv6": (281_000, None)}

SHAPES = {"lenet_300_100": (28, 28, 1)}
_COLOUR_IMAGE = (32, 32, 3)

# Outputs further off than this fraction of the largest are wrong, not rounded.
_WRONG = 0.2

HEADER = ("network", "file", "bytes", "gzipped", "of dense", "")


def pruned_network(name, sparsity, seed=0):
    """Make a network of `experiments.networks` whose smallest weights in each layer are zero."""
    from experiments import networks
    from keras_lottery import Lottery, strip

    model = networks.get(name).build(SHAPES.get(name, _COLOUR_IMAGE), classes=10, seed=seed)
    Lottery(model).prune(sparsity)
    return strip(model)


def stock_files(model, samples, expected):
    """Convert a model with TensorFlow in every mode, and check that the files work.

    Args:
        model: A built `keras.Model`.
        samples: Inputs to compare on.
        expected: The outputs of Keras.

    Returns:
        A dict from mode to the file's bytes, or to a str that says why it does not work.
    """
    files = {}
    for mode in stock.SPARSE_MODES:
        data = stock.convert(model, mode, samples)
        files[mode] = data if (flaw := _flaw(data, samples, expected)) is None else flaw
    return files


def tfmot_file(model):
    """Return the bytes of TensorFlow Model Optimization's file, or why there are none.

    Args:
        model: A built `keras.Sequential`.

    Returns:
        bytes or str.
    """
    from export import tfmot_route

    layers = [(type(layer).__name__, layer.get_config()) for layer in model.layers]
    with tempfile.TemporaryDirectory() as folder:
        network, weights, output = (Path(folder, name) for name in ("n.json", "w.npz", "o.tflite"))
        network.write_text(json.dumps([model.input_shape[1:], layers]))
        np.savez(weights, *model.get_weights())
        done = subprocess.run(
            [sys.executable, "-P", tfmot_route.__file__, network, weights, output],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["it failed"])[-1]
        return output.read_bytes()


def rows(name, sparsity, tfmot):
    """Return the table's rows for one network.

    Args:
        name: The network's name.
        sparsity: The fraction of each layer to prune.
        tfmot: Whether to try TensorFlow Model Optimization as well.

    Returns:
        A list of tuples of text, the cells under `HEADER`.
    """
    from keras_lottery.exporters import tables, tflite

    model = pruned_network(name, sparsity)
    samples = np.random.default_rng(0).random((16, *model.input_shape[1:]), np.float32)
    expected = np.asarray(model(samples))
    found = [("dense float32", stock.convert(model, "float32", sparse=False))]
    sparse = stock_files(model, samples, expected)
    sound = {mode: data for mode, data in sparse.items() if isinstance(data, bytes)}
    found += [(f"TensorFlow, sparse {mode}", outcome) for mode, outcome in sparse.items()]
    if tfmot:
        found.append(("tfmot, sparse float32", tfmot_file(model)))
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("float32", "float16", "int8"):
            path = Path(folder, "ours.tflite")
            tflite.export(model, path, precision=precision, samples=samples, overwrite=True)
            found.append((f"keras_lottery, {precision}", path.read_bytes()))
    best = min(map(len, sound.values()), default=None)
    dense = len(found[0][1])
    result = []
    for label, outcome in found:
        if isinstance(outcome, str):
            result.append((name, label, "", "", "", outcome))
            continue
        raw, gzipped = len(outcome), len(gzip.compress(outcome, 9))
        remark = ""
        if label.startswith("TensorFlow") and raw == best:
            remark = "the smallest of TensorFlow's that works"
        if label.endswith("lottery, int8") and sparsity == 0.95 and name in GOALS:
            remark = _verdict(raw, gzipped, *GOALS[name])
        cells = (tables.number(raw), tables.number(gzipped), f"{raw / dense:.1%}", remark)
        result.append((name, label, *cells))
    return result


def _verdict(raw, gzipped, raw_goal, gzipped_goal):
    goal, reached = f"goal {raw_goal:,}", raw <= raw_goal
    if gzipped_goal is not None:
        goal, reached = f"{goal}, gzipped {gzipped_goal:,}", reached and gzipped <= gzipped_goal
    return f"{goal}: {'reached' if reached else 'missed'}"


def _flaw(data, samples, expected):
    from keras_lottery.exporters import tflite

    try:
        [output] = tflite.run(data, samples)
    except RuntimeError as failure:
        return str(failure)
    error = np.abs(output - expected).max() / np.abs(expected).max()
    # A comparison with NaN is false, and NaN is a flaw.
    return None if error < _WRONG else f"wrong: off by {error:.1g} of the largest output"


def main(argv):
    """Prints the table."""
    script.begin(argv)
    from experiments import networks
    from keras_lottery.exporters import tables

    if unknown := set(FLAGS.networks) - set(networks.names()):
        sys.exit(
            f"size_table: no network {', '.join(sorted(unknown))}; there are "
            f"{', '.join(networks.names())}."
        )
    for name in FLAGS.networks:
        found = rows(name, FLAGS.sparsity, FLAGS.tfmot)
        print(tables.text(HEADER, found), end="\n\n", flush=True)


if __name__ == "__main__":
    flags.DEFINE_list("networks", list(GOALS), "Files of experiments/networks.")
    flags.DEFINE_float(
        "sparsity", 0.95, "Fraction of each layer to prune.", lower_bound=0, upper_bound=1
    )
    flags.DEFINE_bool("tfmot", True, "Try TensorFlow Model Optimization as well.")
    app.run(main)
