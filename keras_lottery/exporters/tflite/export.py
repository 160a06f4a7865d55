"""`export(model, path) -> Report`: a pruned Keras model as a proven sparse `.tflite` file."""

import contextlib
import os
from pathlib import Path

import numpy as np

from keras_lottery.exporters.tflite import proof, report, targets
from keras_lottery.exporters.tflite.conversion import source
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.runtimes import measure as measuring
from keras_lottery.exporters.tflite.targets import auto, micro, size

# Trained classifiers agree with Keras more often, in every precision.
_USUAL_AGREEMENT = 0.9

# What the target `auto` weighs, if nothing else is said.
_ALIKE = {"bytes": 1.0, "time": 1.0, "memory": 1.0}


def export(
    model,
    path,
    *,
    target="size",
    precision=None,
    samples=None,
    weigh=None,
    measure=False,
    overwrite=False,
):
    """Exports a pruned Keras model to TFLite, opens the file again and proves it.

    The file is run in LiteRT with XNNPACK and with the built-in kernels, and its outputs are
    compared with Keras's: they may differ by 0.0001 of an output's largest value in float32, by
    0.01 with float16 weights, by 0.05 with int8 weights and by 0.25 where activations are int8 too.
    Such a file is also compared with the same integers stored densely, to the bit. Every weight is
    read back: it is zero where it is pruned. A file that fails never takes its name: what was there
    before, with `overwrite`, is still there.

    Args:
        model: A built `keras.Model` of any kind, its pruned weights zero. Masks that are attached
            must hold; they stay, and the model is left unchanged.
        path: The file to write.
        target: What the file should be good at.
            `"size"`: the fewest bytes; computes in float32.
            `"latency"`: weights that the runtime computes with sparsely, where that is faster.
            `"int8"`: weights and activations in int8, the fewest bytes; needs `samples`.
            `"micro"`: the same for TensorFlow Lite Micro, inputs and outputs in int8 too.
            `"auto"`: the best by `weigh`, measured here, of the files for `"size"`, for
            `"latency"`, for `"latency"` with more weights sparse than is fastest, to save memory,
            and, where `precision` is `"int8"` and there are `samples`, for `"int8"`. If that one
            fails its proof, the next best.
        precision: The lowest precision of the weights, `"float32"`, `"float16"` or `"int8"`. By
            default `"float32"`, and for the targets `int8` and `micro` their own.
        samples: Real inputs, as the model is called with: an array, or a list or dict of arrays,
            their first axis the examples. Without them made-up inputs are compared.
        weigh: For the target `auto`, how much each counts: a dict with any of `"bytes"`, `"time"`
            and `"memory"`. By default all count alike.
        measure: Whether to measure time and memory on this machine as well, which takes about ten
            seconds; see `measure.measure`. Not for `"micro"`, whose runtime is another.
        overwrite: Whether a file already at `path` is replaced.

    Returns:
        A `Report`; `print` it.

    Example:

    >>> import keras, pathlib, tempfile
    >>> import keras_lottery as kl
    >>> from keras_lottery.exporters import tflite
    >>> model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(64)])
    >>> _ = kl.Lottery(model).prune(0.9)
    >>> path = pathlib.Path(tempfile.mkdtemp(), "ticket.tflite")
    >>> report = tflite.export(kl.strip(model), path, precision="float16")
    >>> path.stat().st_size < report.dense.raw / 5
    True

    Raises:
        ExportError: The model cannot be exported or the file failed its proof.
        FileExistsError: There is a file at `path`, and `overwrite` is false.
        OSError: `path` is a folder, or cannot be written.
        ValueError: An argument is none of its choices, or `samples` do not fit the model.
    """
    path = Path(path)
    precision = _check(target, precision, weigh, measure)
    if path.exists() and not path.is_dir() and not (path.is_file() and overwrite):
        way = "pass overwrite=True to replace it" if path.is_file() else "it is no ordinary file"
        raise FileExistsError(f"{path} exists already; {way}.")
    with _appearing_whole(path) as file:
        origin = source.prepare(model, samples)
        if target == "auto":
            candidates = auto.ranked(origin, precision, weigh or _ALIKE)
        else:
            candidates = {target: targets.BUILDERS[target](origin, precision)}
        built, proven, failures = _first_proven(candidates, origin)
        made = report.of(
            built.data,
            path=path,
            target=target,
            precision=precision,
            dense=origin.dense,
            dense_int8=built.integers or size.dense_int8(origin.dense),
            reasons=built.reasons,
            proof=proven,
            notes=(*built.notes, *failures, *_notes(target, origin, built, proven)),
        )
        file.write(built.data)
    return made.measured(measuring.measure([path])) if measure else made


def _first_proven(candidates, origin):
    """`(Built, Proof, notes on those before it)`; raises the best one's error if all fail."""
    errors = {}
    for target, built in candidates.items():
        try:
            proven = proof.prove(built, origin, target)
        except ExportError as error:
            errors[target] = error
        else:
            failures = [f"Not chosen: target {name}. {error}" for name, error in errors.items()]
            return built, proven, failures
    raise next(iter(errors.values()))


@contextlib.contextmanager
def _appearing_whole(path):
    """A file to write that takes its name only when the block ends without an error."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        opened = temporary.open("wb")
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _check(target, precision, weigh, measure):
    """The precision to use; raises `ValueError` for arguments that do not fit."""
    precision = targets.check(target, precision, (*targets.BUILDERS, "auto"))
    if weigh is not None:
        if target != "auto":
            raise ValueError(f"`weigh` is for the target 'auto'; received target {target!r}.")
        auto.check_weigh(weigh)
    if measure and target == "micro":
        raise ValueError("`measure` times a file in LiteRT, not in TensorFlow Lite Micro.")
    return precision


def _notes(target, origin, built, proven):
    notes = []
    if proven.agreement is not None and proven.agreement < _USUAL_AGREEMENT:
        notes.append(
            f"{1 - proven.agreement:.0%} of the compared examples get another class than in Keras, "
            "one that scores nearly alike by the largest score: compare the accuracy of both."
        )
    if len(built.data) > len(origin.dense):
        notes.append("The file is larger than the dense float32 one: so small a network is.")
    for name in origin.unused:
        notes.append(f"The file has no {name!r}: the model reads it in training only.")
    if all(kernel.all() for kernel in origin.kernels.values()):
        notes.append("The model has no pruned weight; every weight is stored densely.")
    held = sum(np.count_nonzero(origin.kernels[name][~m]) for name, m in origin.masks.items())
    if held:
        notes.append(
            f"{held:,} pruned weights are held at values that are not zero, and stored so."
        )
    if not origin.real:
        notes.append("Compared on made-up inputs; pass samples to compare on real ones.")
    if target == "micro" and not micro.is_installed():
        notes.append(
            "Not run in TensorFlow Lite Micro, which is not installed (pip install "
            "'keras_lottery[micro]'): run in LiteRT instead, its bitmasks decoded."
        )
    return notes
