"""Measures a training step in several ways, side by side in one run.

  python -m experiments.benchmark_training
  python -m experiments.benchmark_training --networks=conv2 --batch_sizes=60 --repeats=9
  python -m experiments.benchmark_training --table=gradients --repeats=15

Every way is run once to compile and then `--repeats` times, by turns, on random images; a row gives
the median of a step, its spread (least to most), and the median of the ratios to `fit`, to the
hand-written loop and to `kl.fit` in the same turn. Six tables:

  speed   `model.fit`, with steps_per_execution=100, `kl.fit`, the same with masks, a loop by hand.
          Goals: kl.fit at most 1.15 of the loop; LeNet in a third of fit's time; never over 1.03.
          Masks in kl.fit: 1.03 of kl.fit.
  masks   the cost of masks in `model.fit`, as constraints (goal: 1.03) and by a callback in Python.
  gradients  the cost of masks that also mask the gradients, before the optimizer sees them, beside
          masks of the weights alone (goal: 1.05 of these, in `fit` and in `kl.fit`) and beside no
          masks (goal: 1.10 of `kl.fit`). Each ratio has its spread.
  tfmot   the cost of tfmot's masks on tf_keras, in a process of its own.
  rule    `kl.fit` forced to XLA and to TensorFlow's own kernels, for networks of all kinds; which
          of the two its rule chooses, and whether that is the faster.
  memory  the peak of a process that trains one way, compared with a process that has hardly any
          data: how many times the data is in memory, counting the caller's own array.
"""

import gc
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from keras_lottery.commands import script

FLAGS = flags.FLAGS

TABLES = ["speed", "masks", "gradients", "tfmot", "rule", "memory"]
flags.DEFINE_multi_enum("table", TABLES, TABLES, "Which tables to print.")
flags.DEFINE_list("networks", ["lenet_300_100", "conv2", "resnet20"], "Networks of `speed`.")
flags.DEFINE_list("masked_networks", ["lenet_300_100", "conv4"], "Networks of `masks`, `tfmot`.")
flags.DEFINE_list("gradient_networks", ["lenet_300_100", "conv2"], "Networks of `gradients`.")
flags.DEFINE_list("batch_sizes", ["60", "128"], "Batch sizes of `speed`; else only the first.")
flags.DEFINE_integer("repeats", 5, "Runs of each way.", lower_bound=1)
flags.DEFINE_bool("quick", False, "A few steps and one run of each way: a test, not a measurement.")
flags.DEFINE_list("peak_of", None, "Way, source, samples: print this peak; `memory` does it.")

# Steps of an epoch, and epochs of a run. Of LeNet's quick steps there are enough for what a call
# does once, such as copying the data, to weigh no more than it does in an experiment.
LENGTHS = {"lenet_300_100": (500, 8), "conv2": (4, 2), "conv4": (4, 2), "resnet20": (5, 2)}
# Shorter for `gradients`: its repeats are many.
GRADIENT_LENGTHS = {**LENGTHS, "lenet_300_100": (500, 2)}
# The same for `rule`, with its own networks. XLA takes seconds for a step of a convolutional one.
RULE_NETWORKS = {"dropout": (50, 4), "attention": (10, 2), "lstm": (10, 2)}
RULE_LENGTHS = {"lenet_300_100": (500, 2), "conv2": (1, 1), "conv4": (1, 1), "resnet20": (1, 1)}
# The networks that `time_tfmot` has for tf_keras too.
MASKABLE = ["lenet_300_100", "conv4"]
SPEED = ["plain_fit", "fit_100_steps", "kl_fit", "kl_fit_masked", "hand_written"]
MASKS = ["plain_fit", "fit_masked", "fit_masked_by_callback"]
GRADIENTS = ["plain_fit", "fit_weights_masked", "fit_masked"]
FUSED_GRADIENTS = ["kl_fit", "kl_fit_weights_masked", "kl_fit_masked"]
FORCED = ["kl_fit_by_xla", "kl_fit_by_graph"]
# Samples in `memory`: 300 MB and 10, trained for as many steps, so that both are fused in one way.
MANY, FEW = 100_000, 3_000
COLUMNS = ["network, batch", "way", "us a step", "least, most"]
WIDTHS = (19, 30, 11, 17, 8, 12, 9)


def _allow_only(known, flag):
    message = f"there are {', '.join(known)} to measure."
    flags.register_validator(flag, lambda names: set(names) <= set(known), message)


_allow_only(LENGTHS, "networks")
_allow_only(LENGTHS, "gradient_networks")
_allow_only(MASKABLE, "masked_networks")


def main(argv):
    """Prints the tables that the flags ask for."""
    script.begin(argv)
    batch_sizes = [int(size) for size in FLAGS.batch_sizes]
    if FLAGS.peak_of:
        way, source, samples = FLAGS.peak_of
        print(peak_memory(way, source, int(samples)))
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
    if "gradients" in FLAGS.table:
        _print_title("gradients", *COLUMNS, "of no masks (spread)", "of weights alone (spread)")
        for network in FLAGS.gradient_networks:
            # All by turns: the ways of `fit` and of `kl.fit` are compared in one run, too.
            length = _length(network, GRADIENT_LENGTHS)
            times = step_times(GRADIENTS + FUSED_GRADIENTS, network, batch_sizes[0], length)
            for ways in (GRADIENTS, FUSED_GRADIENTS):
                some = {way: t for way, t in times.items() if _plain_name(way) in ways}
                _print_rows(network, batch_sizes[0], some, ways[:2], spread=True)
    if "tfmot" in FLAGS.table:
        _print_title("tfmot, on tf_keras", *COLUMNS, "of fit")
        for network in FLAGS.masked_networks:
            times = tfmot_step_times(network, batch_sizes[0])
            _print_rows(network, batch_sizes[0], times, ["tf_keras fit"])
    if "rule" in FLAGS.table:
        _print_title("rule", *COLUMNS, "of graph")
        for network in [*FLAGS.networks, *RULE_NETWORKS]:
            lengths = {**RULE_LENGTHS, **RULE_NETWORKS}
            times = step_times(FORCED, network, batch_sizes[0], _length(network, lengths))
            _print_rows(network, batch_sizes[0], times, ["kl_fit_by_graph"])
            _print_verdict(network, batch_sizes[0], times)
    if "memory" in FLAGS.table:
        _print_title("memory", "data in", "way", "peak MB", "with little data", "data held")
        for source in ("arrays", "tf.data"):
            for way in ("plain_fit", "kl_fit"):
                _print_memory(source, way)


def step_times(ways, network, batch_size, length=None):
    """Return microseconds a step: a list over the repeats for each way, with how it was fused."""
    from experiments import ways_to_train

    steps, epochs = length or _length(network)
    x, y = _data(network, steps * batch_size)
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
    """Return microseconds a step for tfmot, which needs tf_keras and so a process of its own."""
    steps, epochs = _length(network)
    settings = {
        "network": network,
        "batch_size": batch_size,
        "steps": steps,
        "epochs": epochs,
        "repeats": 1 if FLAGS.quick else FLAGS.repeats,
    }
    return json.loads(_module("experiments.time_tfmot", json.dumps(settings)))


def peak_memory(way, source, samples):
    """Return the peak memory of this process, in bytes, after training LeNet one way.

    `source`: "arrays", or "tf.data" for a set that computes its images and holds none.
    """
    import tensorflow as tf

    from experiments import ways_to_train

    if source == "arrays":
        data = np.ones((samples, 28, 28, 1), np.float32), np.zeros(samples, int)
    else:
        indices = tf.data.Dataset.range(samples).batch(60)
        data = indices.map(lambda i: (tf.ones((tf.size(i), 28, 28, 1)), i * 0)), None
    epochs = 1 if FLAGS.quick else MANY // samples
    getattr(ways_to_train, way)(_model("lenet_300_100"), *data, 60, epochs)()
    # Not `getrusage`: that begins with the peak of the process that started this one.
    with open("/proc/self/status") as file:
        peak = next(line for line in file if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def machine():
    """Return one line: processor, cores, load, versions."""
    import keras
    import tensorflow as tf

    with open("/proc/cpuinfo") as file:
        models = [line.partition(": ")[2].strip() for line in file if line.startswith("model name")]
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}; TensorFlow {tf.__version__}, Keras {keras.__version__}"
    )


def _peak_in_a_process(way, source, samples):
    arguments = f"--peak_of={way},{source},{samples}", f"--quick={FLAGS.quick}"
    return int(_module("experiments.benchmark_training", *arguments))


def _module(name, *arguments):
    """The last line that a module of this project prints, run in a process of its own."""
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def _length(network, lengths=LENGTHS):
    return (3, 2) if FLAGS.quick else lengths[network]


def _data(network, count):
    """Random images and labels."""
    shape = (28, 28, 1) if network.startswith("lenet") else (32, 32, 3)
    rng = np.random.default_rng(0)
    return rng.random((count, *shape), np.float32), rng.integers(0, 10, count)


def _model(network):
    import keras

    from experiments import networks, rule_networks

    shape = (28, 28, 1) if network.startswith("lenet") else (32, 32, 3)
    if network in RULE_NETWORKS:
        model, optimizer = getattr(rule_networks, network)(shape), "adam"
    else:
        module = networks.get(network)
        model, optimizer = module.build(shape, 10), module.PRESET.optimizer.make(10_000)
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _print_title(title, *columns):
    print(f"\n{title}")
    _print_row(*columns)


def _print_rows(network, batch_size, times, baselines, spread=False):
    by_way = {_plain_name(way): values for way, values in times.items()}
    show = _median_and_spread if spread else _median
    for way, values in times.items():
        ratios = [
            show([a / b for a, b in zip(values, by_way[baseline], strict=True)])
            for baseline in baselines
        ]
        least_and_most = f"{min(values):,.0f}, {max(values):,.0f}"
        median = f"{statistics.median(values):,.0f}"
        _print_row(f"{network}, {batch_size}", way, median, least_and_most, *ratios)


def _median(ratios):
    return f"{statistics.median(ratios):.3f}"


def _median_and_spread(ratios):
    return f"{_median(ratios)} ({min(ratios):.3f}, {max(ratios):.3f})"


def _plain_name(way):
    """The name of a way, without how it was fused."""
    return way.partition(" (")[0]


def _print_verdict(network, batch_size, times):
    """Return the rule's choice, and whether it is the faster way, give or take a tenth."""
    from experiments import ways_to_train

    chosen, reason = ways_to_train.chosen(_model(network), *_data(network, batch_size), batch_size)
    medians = {_plain_name(way): statistics.median(values) for way, values in times.items()}
    right = medians[f"kl_fit_by_{chosen}"] <= 1.1 * min(medians.values())
    _print_row("", f"the rule: {chosen}", "right" if right else "WRONG", reason)


def _print_memory(source, way):
    samples = (FEW, 2 * FEW) if FLAGS.quick else (FEW, MANY)
    few, many = (_peak_in_a_process(way, source, count) for count in samples)
    held = (many - few) / ((samples[1] - samples[0]) * 28 * 28 * 4)
    _print_row(source, way, f"{many / 1e6:,.0f}", f"{few / 1e6:,.0f}", f"{held:.1f} times")


def _print_row(*cells):
    # At once, where the output is a file too: a table takes minutes.
    print("  ".join(map(str.ljust, cells, WIDTHS)).rstrip(), flush=True)


if __name__ == "__main__":
    app.run(main)
