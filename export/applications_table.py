"""Exports networks of keras.applications for every target, and writes a table of the results.

  python -m export.applications_table --output=docs/exporter_models.md
  python -m export.applications_table --models=MobileNetV2,DenseNet121 --targets=size_int8,micro

Each network has random weights, 90 % of every kernel zero, and normalisation statistics from
batches of real images. Every target either proves its file, or the table says which layer cannot be
expressed, or loses too much, and why. A target that fails otherwise ends the script with status 1.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from keras_lottery.commands import script

FLAGS = flags.FLAGS

# Network to the side of its images; the smallest that it takes, or a little more.
SIDES = {
    "MobileNetV2": 64,
    "MobileNetV3Small": 64,
    "EfficientNetB0": 64,
    "ResNet50V2": 64,
    "DenseNet121": 64,
    "ConvNeXtTiny": 64,
    "InceptionV3": 75,
    "NASNetMobile": 64,
}

# The name of a column to the target and the precision.
TARGETS = {
    "size_float32": ("size", "float32"),
    "size_float16": ("size", "float16"),
    "size_int8": ("size", "int8"),
    "latency_int8": ("latency", "int8"),
    "int8": ("int8", None),
    "micro": ("micro", None),
}

_SPARSITY = 0.9
_CLASSES = 10
_SAMPLES = 96

HEADER = ("network", "target", "bytes", "of dense", "worst error", "same class", "seconds", "")


def images(side):
    """Digits of scikit-learn as colour images of a size, values in [0, 255]."""
    import keras
    from sklearn.datasets import load_digits

    found = load_digits().images[:_SAMPLES, ..., None].astype("float32") * (255 / 16)
    large = keras.ops.image.resize(found, (side, side))
    return np.repeat(np.asarray(large), 3, axis=-1)


def network(name, side, samples):
    """A network of `keras.applications`, pruned, its normalisations adapted to the samples.

    Args:
        name: Its name in `keras.applications`.
        side: The height and width of its images.
        samples: Images as `images` returns them.

    Returns:
        A `keras.Model`, and the samples in the form that it takes.
    """
    import keras

    import keras_lottery as kl

    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    model = make(weights=None, input_shape=(side, side, 3), classes=_CLASSES)
    includes_rescaling = any(
        isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))
        for layer in model.layers
    )
    inputs = samples if includes_rescaling else samples / 127.5 - 1
    kl.Lottery(model).prune(_SPARSITY)
    model = kl.strip(model)
    if name != "ConvNeXtTiny":  # It has no BatchNormalization.
        kl.recalibrate(model, inputs, batch_size=32)
    return model, inputs


def row(name, column):
    """Return the table's row for one network and target."""
    from keras_lottery.exporters import tflite

    target, precision = TARGETS[column]
    model, samples = network(name, SIDES[name], images(SIDES[name]))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = tflite.export(
                model,
                Path(folder, "x.tflite"),
                target=target,
                precision=precision,
                samples=samples,
                compare=32,
            )
        except tflite.ExportError as error:
            seconds = time.monotonic() - start
            return (name, column, "", "", "", "", f"{seconds:.0f}", str(error))
    seconds, proof = time.monotonic() - start, report.proof
    remarks = [note for note in report.notes if "better form" in note or "another class" in note]
    return (
        name,
        column,
        f"{report.inspection.file_bytes:,}",
        f"{report.inspection.file_bytes / report.dense_size.raw:.1%}",
        f"{max(proof.errors.values()):.1g}",
        f"{proof.agreement:.0%}",
        f"{seconds:.0f}",
        " ".join(remarks),
    )


def row_apart(name, column):
    """Return the row of `row` from a process of its own, so that its memory is free afterwards."""
    command = [sys.executable, "-m", "export.applications_table", "--row", f"--models={name}"]
    done = subprocess.run([*command, f"--targets={column}"], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        return (name, column, "", "", "", "", "", f"FAILED: {lines[-1]}")
    return tuple(json.loads(done.stdout.strip().splitlines()[-1]))


def document(rows, command):
    """Return the table as Markdown, with an explanation and the command that writes it."""
    from keras_lottery.exporters import tables

    return (
        "# Networks of keras.applications, exported\n\n"
        f"Written by `{command}`; `make models` writes\nthat of all networks that the script "
        "knows, which takes about an hour on 2 cores of an AMD EPYC.\n\n"
        "Each network has random weights, 90 % of every kernel zero, "
        "ten classes, and normalisation statistics from\nbatches of images (scikit-learn's digits, "
        "enlarged). A row with bytes was proven; a row without says which layer\ncannot, and why. "
        "The worst error is a fraction of the largest output.\n\n"
        f"{tables.markdown(HEADER, rows)}\n"
    )


def main(argv):
    """Prints the rows as they come, and writes the table."""
    script.refuse_arguments(argv)
    for flag, known in (("models", SIDES), ("targets", TARGETS)):
        if unknown := set(FLAGS[flag].value) - set(known):
            sys.exit(
                f"applications_table: no {', '.join(sorted(unknown))} in --{flag}; there are "
                f"{', '.join(known)}."
            )
    if FLAGS.row:
        from keras_lottery.commands import quiet

        quiet.import_tensorflow()
        [name], [column] = FLAGS.models, FLAGS.targets
        print(json.dumps(row(name, column)))
        return
    rows = []
    for name in FLAGS.models:
        for column in FLAGS.targets:
            rows.append(row_apart(name, column))
            print("  ".join(rows[-1]), flush=True)
    if FLAGS.output:
        path = Path(FLAGS.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        asked = f" --models={','.join(FLAGS.models)}" if FLAGS["models"].present else ""
        command = f"python -m export.applications_table --output={FLAGS.output}{asked}"
        path.write_text(document(rows, command), encoding="utf-8")
    sys.exit(int(any(cells[-1].startswith("FAILED") for cells in rows)))


if __name__ == "__main__":
    flags.DEFINE_list("models", list(SIDES), "Networks of keras.applications.")
    flags.DEFINE_list("targets", list(TARGETS), "Targets, with a precision where they take one.")
    flags.DEFINE_string("output", None, "A Markdown file to write the table to.")
    flags.DEFINE_bool("row", False, "Print one row as JSON, as the script asks itself to.")
    app.run(main)
