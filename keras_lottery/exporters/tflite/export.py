"""`export(model, path) -> Report`: writes a pruned Keras model as a proven `.tflite` file."""

import dataclasses
import functools
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import keras

from keras_lottery.core import atomic_file
from keras_lottery.exporters.tflite import notes, proof, report, targets
from keras_lottery.exporters.tflite.conversion.source import COMPARED, prepare
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.report import Report
from keras_lottery.exporters.tflite.runtimes import measure as measuring
from keras_lottery.exporters.tflite.targets import auto, replacement, size
from keras_lottery.masks import shrink as shrinking
from keras_lottery.masks.masking import MaskError
from keras_lottery.masks.shrink import ShrinkReport
from keras_lottery.masks.strip import refuse_denser

# The default weighing of the target `auto`.
_ALIKE = {"bytes": 1.0, "time": 1.0, "memory": 1.0}


def export(
    model: keras.Model,
    path: str | PathLike,
    *,
    target: str = "size",
    precision: str | None = None,
    samples: Any = None,
    calibrate: int | None = None,
    compare: int = COMPARED,
    batch: int | None = None,
    weigh: Mapping[str, float] | None = None,
    measure: bool = False,
    overwrite: bool = False,
    at_least: float = 0.0,
    shrink: bool = False,
) -> Report:
    """Exports a pruned Keras model to TFLite, opens the file again and proves it.

    The proof runs the file in LiteRT, with XNNPACK and with the built-in kernels, and compares its
    outputs with Keras's. An output may be off by a fraction of its largest value: 0.0001 in
    float32, 0.01 with float16 weights, 0.05 with int8 weights, and 0.25 if activations are int8
    too. Each channel of an output, an index of its last axis, may be off by four times that
    fraction of its own range. A file that computes in int8 must also answer, to the bit, as the
    same integers stored densely. Every weight is read back: pruned weights must be zero.

    A weight whose form fails the proof takes the next better form, and the report says so. A file
    that fails all the same never takes its name: with `overwrite`, the old file is still there.

    The file has a signature with the model's own names of inputs and outputs. Names that Keras has
    numbered are numbered within the model, so one model gives the same bytes in every process.

    Args:
        model: A built `keras.Model` of any kind, its pruned weights zero. Masks that are attached
            must hold, and they stay. The model is left unchanged.
        path: The file to write.
        target: What the file should be good at.
            `"size"`: the fewest bytes; computes in float32.
            `"latency"`: weights that the runtime computes with sparsely, if that is faster.
            `"int8"`: weights and activations in int8, the fewest bytes; needs `samples`.
            `"micro"`: the same for TensorFlow Lite Micro, inputs and outputs in int8 too.
            `"auto"`: the best file by `weigh`, measured on this machine. The candidates are files
            for `"size"`, for `"latency"`, and for `"latency"` with more sparse weights than is
            fastest, to save memory; with precision `"int8"` and `samples` also for `"int8"`. A
            file that fails its proof, or loses clearly more than the best one, is left out.
        precision: The lowest precision of the weights, `"float32"`, `"float16"` or `"int8"`. By
            default `"float32"`; the targets `int8` and `micro` have their own.
        samples: Real inputs, as the model is called with: an array, or a list or dict of arrays,
            their first axis the examples. Or batches as for `model.fit`, of which `x` counts: a
            `tf.data.Dataset` or a generator. Without samples, made-up inputs are compared.
        calibrate: How many samples calibrate activations, spread evenly over all. By default 256,
            or all if an input may be an index into a table.
        compare: How many samples are compared, spread evenly over all.
        batch: How many examples the file takes at once. By default one, or as many as the model
            was built for.
        weigh: How much `"bytes"`, `"time"` and `"memory"` count for the target `auto`, a dict with
            any of them. By default all count alike.
        measure: Whether to measure time and memory on this machine as well, as `tflite.measure`
            does. That takes about ten seconds. Not for `"micro"`, which is for another runtime.
        overwrite: Whether to replace a file that is already at `path`.
        at_least: The sparsity, in [0, 1], that all kernels together must have, as for `strip`: by
            their masks, or without masks by their zeros.
        shrink: Whether to remove dead units first, as `keras_lottery.shrink` does. The file must
            still give the answers of the model that was not shrunk.

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
    >>> path.stat().st_size < report.dense_size.raw / 5
    True

    Raises:
        ExportError: The model cannot be exported, or the file failed its proof.
        FileExistsError: There is a file at `path`, and `overwrite` is false.
        FileNotFoundError: The folder of `path` is missing.
        OSError: `path` is a folder, or cannot be written.
        ValueError: An argument is none of its choices, `samples` do not fit the model, the model is
            denser than `at_least`, or it cannot be shrunk.
    """
    path = Path(path)
    precision = _resolve(target, precision, weigh, measure)
    refuse_denser(model, at_least)
    for name, count in (("calibrate", calibrate), ("compare", compare), ("batch", batch)):
        _check_count(name, count)
    _check_path(path, overwrite)
    shrunk = _shrunk(model) if shrink else None
    exported = shrunk[0] if shrunk else model
    source = prepare(exported, samples, batch=batch, calibrate=calibrate, compare=compare)
    source = dataclasses.replace(source, judge=model)
    if target == "auto":
        built, proven = auto.best(source, precision, weigh or _ALIKE)
    else:
        prove = functools.partial(proof.prove, source=source, target=target)
        build = targets.BUILDERS[target]
        built, proven = replacement.proven(build, source, precision, prove)
    made = report.build(
        built.data,
        path=path,
        target=target,
        precision=precision,
        dense_data=source.dense_data,
        dense_int8_data=built.dense_integers or size.dense_int8(source.dense_data),
        reasons=built.reasons,
        proof=proven,
        shrunk=shrunk[1] if shrunk else None,
        notes=(*built.notes, *notes.collect(target, source, built, proven)),
    )
    atomic_file.write(path, built.data)
    return made.measured(measuring.measure([path])) if measure else made


def _shrunk(model: keras.Model) -> tuple[keras.Model, ShrinkReport]:
    """A model without its dead units, and the report on what went."""
    try:
        return shrinking.shrink(model), shrinking.shrink_report(model)
    except MaskError as error:
        raise ExportError(str(error)) from error


def _resolve(
    target: str, precision: str | None, weigh: Mapping[str, float] | None, measure: bool
) -> str:
    """Checks arguments that depend on each other, and returns the precision to use."""
    precision = targets.resolve_precision(target, precision, (*targets.BUILDERS, "auto"))
    if weigh is not None:
        if target != "auto":
            raise ValueError(f"`weigh` is for the target 'auto'; received target {target!r}.")
        auto.check_weigh(weigh)
    if measure and target == "micro":
        raise ValueError("`measure` times a file in LiteRT, not in TensorFlow Lite Micro.")
    return precision


def _check_count(name: str, count: int | None) -> None:
    whole = isinstance(count, int) and not isinstance(count, bool)
    if count is not None and not (whole and count >= 1):
        raise ValueError(f"`{name}` is {count!r}; it must be a whole number, one or more.")


def _check_path(path: Path, overwrite: bool) -> None:
    """Raises the error now that writing would raise later, after minutes of work."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it.")
    if path.exists() and not (path.is_file() and overwrite):
        way = "pass overwrite=True to replace it" if path.is_file() else "it is no ordinary file"
        raise FileExistsError(f"{path} exists already; {way}.")
    if not path.parent.exists():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
    atomic_file.check(path)
