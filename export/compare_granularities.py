"""Compares granularities: accuracy against bytes, and accuracy against latency.

  python -m export.compare_granularities
  python -m export.compare_granularities --dataset=mnist --data_dir=DIR --network=lenet_300_100 \\
      --scale=0.2 --rounds=10

Searches tickets of single weights, of blocks of 1x4 and of 1x16, exports each round's for size and
for latency, and times all files in turns. Writes a folder: the files, results.json, and a figure.
"""

import dataclasses
import json
from pathlib import Path

from export import data_flags
from keras_lottery.commands import command

TARGETS = ("size", "latency")

# Okabe and Ito's palette: told apart by colour-blind readers; the markers help in print. Last where
# the sparsities stand from the points, in points of type.
_LINES = {
    "dense": ("dense", "black", "*", (0, 10), "center"),
    "weights()": ("single weights", "#0072B2", "o", (0, 9), "center"),
    "blocks(4)": ("blocks of 1x4", "#D55E00", "s", (-6, 0), "right"),
    "blocks(16)": ("blocks of 1x16", "#009E73", "^", (6, -3), "left"),
}


@dataclasses.dataclass(frozen=True)
class ExportedNetwork:
    """A trained network and its exported files.

    Attributes:
        granularity: The granularity that it was pruned in, or `"dense"`.
        round: The number of prunings.
        sparsity: The fraction of zeros.
        accuracy: The accuracy on the test images.
        bytes: The bytes of the file made for size.
        gzipped: The bytes of the same file after `gzip -9`.
        latency: The median time of the file made for latency, in seconds; None until measured.
        files: A dict from target to the file's name.
    """

    granularity: str
    round: int
    sparsity: float
    accuracy: float
    bytes: int
    gzipped: int
    latency: float | None
    files: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of the comparison: what is trained, and how long.

    Attributes:
        network: A module of `experiments.networks`.
        dataset: A `Dataset`.
        epochs: The number of epochs of each training.
        rounds: The number of prunings.
        rate: The fraction of the live weights that a round prunes.
        precision: The lowest precision that a weight may be stored in.
        seed: Seed of weights, order and ties.
    """

    network: object
    dataset: object
    epochs: int
    rounds: int
    rate: float
    precision: str
    seed: int

    @property
    def title(self):
        """One line that says what was run."""
        name = self.network.__name__.rpartition(".")[2]
        return (
            f"{name} on {self.dataset.name}, epochs a round: {self.epochs}, {self.precision}, "
            f"seed {self.seed}"
        )


def search(granularity, settings, folder, report):
    """Prunes in rounds and exports every round's ticket, the dense network first.

    Args:
        granularity: A granularity of `keras_lottery.granularity`.
        settings: The `Settings`.
        folder: The folder to write the files to.
        report: A function that is called with each `ExportedNetwork`.

    Returns:
        A list of `ExportedNetwork`s, without latencies.
    """
    import keras_lottery as kl
    from export import training
    from keras_lottery.exporters import tflite

    network, dataset, epochs = settings.network, settings.dataset, settings.epochs
    preset = network.PRESET
    points = []
    for r in kl.rounds(
        lambda: training.make_model(network, dataset, epochs, settings.seed),
        recipe=kl.Recipe(granularity=granularity, exclude=preset.exclude),
        count=settings.rounds,
        rate=settings.rate,
        overrides={
            pattern: min(1.0, rate * settings.rate / preset.rate)
            for pattern, rate in preset.overrides.items()
        },
        seed=settings.seed,
    ):
        training.train(r.model, network, dataset, epochs, r.callbacks, settings.seed)
        name = granularity.name if r.index else "dense"
        files, reports = {}, {}
        for target in TARGETS:
            files[target] = f"{name.strip('()').replace('(', '')}-{r.index}-{target}.tflite"
            reports[target] = tflite.export(
                r.model,
                folder / files[target],
                target=target,
                precision=settings.precision,
                samples=dataset.x_test[:64],
                overwrite=True,
            )
        size = reports["size"].inspection
        predicted = r.model.predict(dataset.x_test, batch_size=1000, verbose=0).argmax(axis=-1)
        points.append(
            ExportedNetwork(
                granularity=name,
                round=r.index,
                sparsity=r.sparsity,
                accuracy=float((predicted == dataset.y_test).mean()),
                bytes=size.file_bytes,
                gzipped=size.gzip_bytes,
                latency=None,
                files=files,
            )
        )
        report(points[-1])
    return points


def timed(points, folder, seconds):
    """Return the points with their latencies; all files are timed in turns.

    Args:
        points: `ExportedNetwork`s.
        folder: The folder of their files.
        seconds: The time to measure all files together.

    Returns:
        A list of `ExportedNetwork`s.
    """
    from keras_lottery.exporters import tflite

    files = [folder / point.files["latency"] for point in points]
    measured = tflite.measure(files, seconds=seconds, runtimes=["XNNPACK"])
    return [
        dataclasses.replace(point, latency=found.median)
        for point, found in zip(points, measured, strict=True)
    ]


def draw(points, title, path):
    """Draws accuracy against bytes and against latency, with sparsities at the points.

    Args:
        points: `ExportedNetwork`s with latencies.
        title: The title of the figure.
        path: The image file to write.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize="medium")
    left, right = figure.subplots(1, 2, sharey=True)
    for name in dict.fromkeys(point.granularity for point in points):
        series = [point for point in points if point.granularity == name]
        _draw_series(left, name, series, [point.bytes / 1024 for point in series])
        _draw_series(right, name, series, [1e6 * point.latency for point in series])
    left.set_ylabel("Test accuracy, %")
    left.set_xlabel("File for size, KiB")
    right.set_xlabel("File for latency, median us (XNNPACK, one thread, this machine)")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.1)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, title="Lines join the best from left to right")
    figure.savefig(path, dpi=150)
    return figure


def _draw_series(axes, name, points, positions):
    """Draws points with their sparsities, and a line through those that none to the left beats."""
    label, colour, marker, offset, ha = _LINES[name]
    best, found = 0.0, {"best": [], "beaten": []}
    for position, point in sorted(zip(positions, points, strict=True), key=lambda pair: pair[0]):
        place = (position, 100 * point.accuracy)
        found["best" if point.accuracy > best else "beaten"].append(place)
        best = max(best, point.accuracy)
        text = f"{100 * point.sparsity:.3g} %"
        style = {"textcoords": "offset points", "ha": ha, "va": "center", "fontsize": 6.5}
        axes.annotate(text, place, xytext=offset, color=colour, **style)
    style = {"color": colour, "marker": marker, "label": label}
    if name == "dense":
        # One point, where the lines begin: on top of theirs.
        style |= {"zorder": 3, "markersize": 10, "linestyle": "none"}
    axes.plot(*zip(*found["best"], strict=True), **style)
    if found["beaten"]:
        axes.scatter(*zip(*found["beaten"], strict=True), color=colour, marker=marker)


def add_arguments(parser):
    """Defines the arguments of the script.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    data_flags.add_arguments(parser, default="digits")
    parser.add_argument(
        "--examples",
        type=command.integer(1),
        metavar="N",
        help="use at most this number of training and of test images",
    )
    parser.add_argument(
        "--network",
        default="digits_mlp",
        help="network to train: a file of experiments/networks (digits_mlp)",
    )
    parser.add_argument(
        "--rounds", type=command.integer(1), default=6, help="number of prunings (6)"
    )
    parser.add_argument(
        "--rate",
        type=command.number(0, 1),
        default=0.4,
        help="fraction of the live weights that a round prunes (0.4)",
    )
    parser.add_argument(
        "--scale",
        type=command.number(0),
        default=0.1,
        help="multiplies the preset's iterations; 0.1, the default, trains a tenth as long",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="the lowest precision of a stored weight (float32); with int8, blocks of 1x16 have a "
        "kernel in int8",
    )
    parser.add_argument(
        "--seconds", type=command.number(0), default=20.0, help="seconds to time all files (20)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of weights, order of examples, and ties",
    )
    parser.add_argument(
        "--output", default="runs/compare_granularities", help="folder of the results"
    )


def run(arguments):
    """Runs the comparison that the arguments describe.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        CommandError: There is no such network or data set.
    """
    from keras_lottery.commands import quiet

    quiet.import_tensorflow()
    import keras_lottery as kl
    from experiments import networks
    from export import training

    try:
        network = networks.get(arguments.network)
        dataset = data_flags.load(arguments)
    except (OSError, ValueError) as error:
        raise command.CommandError(str(error)) from error
    iterations = network.PRESET.iterations * arguments.scale
    epochs = max(1, round(iterations / training.steps(network, dataset)))
    settings = Settings(
        network,
        dataset,
        epochs,
        arguments.rounds,
        arguments.rate,
        arguments.precision,
        arguments.seed,
    )
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{settings.title}; results go to {folder}")

    def report(point):
        print(
            f"{point.granularity:>10} {point.sparsity:6.1%} zeros: "
            f"{point.accuracy:.2%}, {point.bytes:,} bytes",
            flush=True,
        )

    kinds = [kl.granularity.weights(), kl.granularity.blocks(4), kl.granularity.blocks(16)]
    points = []
    for granularity in kinds:
        found = search(granularity, settings, folder, report)
        # Every search begins with the same dense network; one point of it is enough.
        points += found[1:] if points else found
    points = timed(points, folder, arguments.seconds)
    content = [dataclasses.asdict(point) for point in points]
    (folder / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draw(points, settings.title, folder / "granularities.png")
    print(f"Figure: {folder / 'granularities.png'}")


if __name__ == "__main__":
    command.run_script("compare_granularities", __doc__, add_arguments, run)
