"""Times XNNPACK's sparse 1x1 convolutions: `python -m export.web.benchmark_mobilenet`.

Makes MobileNet-V1 of full width for 224x224 pixels, random weights, with most of its 1x1 weights
pruned by magnitude, and times the file of `tflite.export` against the plain dense one of the same
network in a headless Chromium. The time depends on the zeros alone, not on the other values.
"""

from pathlib import Path

from absl import app, flags

from export.web.benchmark import benchmark, table
from keras_lottery.commands import script

SHAPE = (224, 224, 3)
CLASSES = 1000


def write_files(folder, sparsity, shape=SHAPE, width=1.0):
    """Writes `dense.tflite` and `sparse.tflite`, the same pruned network.

    Args:
        folder: An existing folder.
        sparsity: The fraction of each 1x1 kernel to prune, in [0, 1].
        shape: Height, width and channels of an image.
        width: The width of the network, 1 as published.

    Returns:
        Both paths.
    """
    import numpy as np

    import keras_lottery as kl
    from experiments.networks import mobilenet_v1
    from keras_lottery.exporters import tflite
    from keras_lottery.exporters.tflite.conversion import convert, signature

    model = mobilenet_v1.build(shape, CLASSES, width=width)
    samples = np.random.default_rng(0).random((2, *shape), np.float32)
    _standardise(model, samples)
    kl.Lottery(model, kl.Recipe(exclude=mobilenet_v1.PRESET.exclude)).prune(sparsity)
    kl.strip(model)
    dense, sparse = Path(folder) / "dense.tflite", Path(folder) / "sparse.tflite"
    dense.write_bytes(convert.convert(model, signature.infer(model, samples)))
    tflite.export(model, sparse, samples=samples, overwrite=True)
    return dense, sparse


def _standardise(model, samples):
    """Gives every normalisation the statistics of its input, so that no signal fades away."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(samples, training=True)


def main(argv):
    """Makes the files and prints their times."""
    script.begin(argv)
    folder = Path(FLAGS.output)
    folder.mkdir(parents=True, exist_ok=True)
    paths = write_files(folder, FLAGS.sparsity)
    print(f"MobileNet-V1, 224x224, {FLAGS.sparsity:.0%} of the 1x1 weights zero, in Chromium:")
    print(table(benchmark(paths, rounds=FLAGS.rounds)))


FLAGS = flags.FLAGS
if __name__ == "__main__":
    flags.DEFINE_float("sparsity", 0.9, "Fraction of each 1x1 kernel to prune.", 0.0, 1.0)
    flags.DEFINE_string("output", "runs/mobilenet", "Folder for the two files.")
    flags.DEFINE_integer("rounds", 51, "Number of measurements of each file.", lower_bound=1)
    app.run(main)
