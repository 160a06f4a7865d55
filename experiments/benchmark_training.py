"""What a training step costs, way by way, side by side in one run.

  python -m experiments.benchmark_training
  python -m experiments.benchmark_training --networks=conv2 --batch_sizes=60 --repeats=9

Every way is run once to compile and then `--repeats` times, by turns, on random images; a row gives
the median of a step, its spread (least to most), and the median of the ratios to `fit`, to the
hand-written loop and to `kl.fit` in the same turn. Four tables:

  speed   `model.fit`, with steps_per_execution=100, `kl.fit`, the same with masks, a loop by hand.
          Goals: kl.fit at most 1.15 of the loop; LeNet in a third of fit's time; never over 1.03.
          Masks in kl.fit: 1.03 of kl.fit.
  masks   what masks cost in `model.fit`, as constraints (goal: 1.03) and by a callback in Python.
  tfmot   what tfmot's masks cost on tf_keras, in a process of its own.
  memory  the peak of a process that trains one way, and of one that only holds the data.
"""

import gc
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from experiments import quiet

FLAGS = flags.FLAGS

TABLES = ["speed", "masks", "tfmot", "memory"]
flags.DEFINE_multi_enum("table", TABLES, TABLES, "Which tables to print.")
flags.DEFINE_list("networks", ["lenet_300_100", "conv2", "resnet20"], "Networks of `speed`.")
flags.DEFINE_list("masked_networks", ["lenet_300_100", "conv4"], "Networks of `masks`, `tfmot`.")
flags.DEFINE_list("batch_sizes", ["60", "128"], "Batch sizes of `speed`; else only the first.")
flags.DEFINE_integer("repeats", 5, "Runs of each way.", lower_bound=1)
flags.DEFINE_bool("quick", False, "A few steps and one run of each way: a test, not a measurement.")
flags.DEFINE_string("peak_of", None, "Print the peak memory of this way alone; `memory` does it.")

# Steps of an epoch, and epochs of a run. Of LeNet's quick steps there are enough for what a call
# does once, such as copying the data, to weigh no more than it does in an experiment.
LENGTHS = {"lenet_300_100": (500, 8), "conv2": (4, 2), "conv4": (4, 2), "resnet20": (5, 2)}
# The networks that `time_tfmot` has for tf_keras too.
MASKABLE = ["lenet_300_100", "conv4"]
SPEED = ["plain_fit", "fit_100_steps", "kl_fit", "kl_fit_masked", "hand_written"]
MASKS = ["plain_fit", "fit_masked", "fit_masked_by_callback"]
MEMORY = ["data_alone", "plain_fit", "kl_fit"]
COLUMNS = ["network, batch", "way", "us a step", "least, most"]
WIDTHS = (19, 30, 11, 17, 8, 12, 9)


def _allow_only(known, flag):
    message = f"there are {', '.join(known)} to measure."
    flags.register_validator(flag, lambda names: set(names) <= set(known), message)


_allow_only(LENGTHS, "networks")
_allow_only(MASKABLE, "masked_networks")


def main(argv):
    """Prints the tables that the flags ask for."""
    if len(argv) > 1:
        sys.exit(f"Unexpected {argv[1]!r}: every setting is a flag, as in --repeats=5. See --help.")
    quiet.import_tensorflow()
    batch_sizes = [int(size) for size in FLAGS.batch_sizes]
    if FLAGS.peak_of:
        print(peak_memory(FLAGS.peak_of, FLAGS.networks[0], batch_sizes[0]))
        return
    print(machine())
    if "speed" in FLAGS.table:
        _print_title("speed", *COLUMNS, "of fit", "of the loop", "of kl.fit")
        for network in FLAGS.networks:
            for batch_size in batch_sizes:
                times = step_times(SPEED, network, batch_size)
                _print_rows(network, batch_size, times, ["plain_fit", "hand_written", "kl_fit"])
    if "masks" in FLAGS.table:
        _print_title("masks", *COLUMNS, "of fit")
        for network in FLAGS.masked_networks:
            times = step_times(MASKS, network, batch_sizes[0])
            _print_rows(network, batch_sizes[0], times, ["plain_fit"])
    if "tfmot" in FLAGS.table:
        _print_title("tfmot, on tf_keras", *COLUMNS, "of fit")
        for network in FLAGS.masked_networks:
            times = tfmot_step_times(network, batch_sizes[0])
            _print_rows(network, batch_sizes[0], times, ["tf_keras fit"])
    if "memory" in FLAGS.table:
        _print_title("memory", "network", "way", "peak MB")
        for way in MEMORY:
            _print_row("lenet_300_100", way, f"{_peak_in_a_process(way) / 1e6:,.0f}")


def step_times(ways, network, batch_size):
    """Microseconds a step: for each way, named with how it was fused, a list over the repeats."""
    from experiments import ways_to_train

    x, y = _data(network, batch_size)
    steps, epochs = _length(network)
    runs, times = {}, {}
    for way in ways:
        run = getattr(ways_to_train, way)(_model(network), x, y, batch_size, epochs)
        fused = run()
        name = f"{way} ({fused})" if fused else way
        runs[name], times[name] = run, []
    turns = random.Random(0)
    for _ in range(1 if FLAGS.quick else FLAGS.repeats):
        # In another order each time, and without the garbage of the one before: some ways slow
        # down what comes after them.
        for name, run in turns.sample(list(runs.items()), len(runs)):
            gc.collect()
            begin = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begin) * 1e6 / (epochs * steps))
    return times


def tfmot_step_times(network, batch_size):
    """The same for tfmot, which needs tf_keras and so a process of its own."""
    steps, epochs = _length(network)
    settings = {
        "network": network,
        "batch_size": batch_size,
        "steps": steps,
        "epochs": epochs,
        "repeats": 1 if FLAGS.quick else FLAGS.repeats,
    }
    return json.loads(_module("experiments.time_tfmot", json.dumps(settings)))


def peak_memory(way, network, batch_size):
    """The peak of this process, in bytes, after training one way."""
    from experiments import ways_to_train

    x, y = _data(network, batch_size)
    model = _model(network)
    if way != "data_alone":
        getattr(ways_to_train, way)(model, x, y, batch_size, _length(network)[1])()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def machine():
    """One line: processor, cores, load, versions."""
    import keras
    import tensorflow as tf

    with open("/proc/cpuinfo") as file:
        models = [line.partition(": ")[2].strip() for line in file if line.startswith("model name")]
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}; TensorFlow {tf.__version__}, Keras {keras.__version__}"
    )


def _peak_in_a_process(way):
    arguments = [f"--peak_of={way}", "--networks=lenet_300_100", f"--quick={FLAGS.quick}"]
    return int(_module("experiments.benchmark_training", *arguments))


def _module(name, *arguments):
    """The last line that a module of this project prints, run in a process of its own."""
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def _length(network):
    return (3, 2) if FLAGS.quick else LENGTHS[network]


def _data(network, batch_size):
    """Random images and labels, enough for the steps of an epoch."""
    shape = (28, 28, 1) if network.startswith("lenet") else (32, 32, 3)
    count = _length(network)[0] * batch_size
    rng = np.random.default_rng(0)
    return rng.random((count, *shape), np.float32), rng.integers(0, 10, count)


def _model(network):
    import keras

    from experiments import networks

    module = networks.get(network)
    shape = (28, 28, 1) if network.startswith("lenet") else (32, 32, 3)
    model = module.build(shape, 10)
    model.compile(
        module.PRESET.optimizer(10_000),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _print_title(title, *columns):
    print(f"\n{title}")
    _print_row(*columns)


def _print_rows(network, batch_size, times, baselines):
    by_way = {way.partition(" (")[0]: values for way, values in times.items()}
    for way, values in times.items():
        ratios = [
            f"{statistics.median(a / b for a, b in zip(values, by_way[base], strict=True)):.3f}"
            for base in baselines
        ]
        spread = f"{min(values):,.0f}, {max(values):,.0f}"
        median = f"{statistics.median(values):,.0f}"
        _print_row(f"{network}, {batch_size}", way, median, spread, *ratios)


def _print_row(*cells):
    # At once, where the output is a file too: a table takes minutes.
    print("  ".join(map(str.ljust, cells, WIDTHS)).rstrip(), flush=True)


if __name__ == "__main__":
    app.run(main)
