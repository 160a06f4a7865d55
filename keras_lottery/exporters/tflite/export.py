"""`export(model, path) -> Report`: a pruned Keras model as a proven sparse `.tflite` file."""

import contextlib
import functools
import os
from pathlib import Path

from keras_lottery.exporters.tflite import notes, proof, report, targets
from keras_lottery.exporters.tflite.conversion.source import COMPARED, prepare
from keras_lottery.exporters.tflite.runtimes import measure as measuring
from keras_lottery.exporters.tflite.targets import auto, replacement, size
from keras_lottery.masks.strip import refuse_denser

# What the target `auto` weighs, if nothing else is said.
_ALIKE = {"bytes": 1.0, "time": 1.0, "memory": 1.0}


def export(
    model,
    path,
    *,
    target="size",
    precision=None,
    samples=None,
    calibrate=None,
    compare=COMPARED,
    batch=None,
    weigh=None,
    measure=False,
    overwrite=False,
    at_least=0.0,
):
    """Exports a pruned Keras model to TFLite, opens the file again and proves it.

    The file is run in LiteRT with XNNPACK and with the built-in kernels, and its outputs are
    compared with Keras's: they may differ by 0.0001 of an output's largest value in float32, by
    0.01 with float16 weights, by 0.05 with int8 weights and by 0.25 where activations are int8 too.
    Each channel of an output, an index of its last axis, is judged by its own range besides, and
    may be off by four times that fraction of it. A file that computes in int8 is also compared with
    the same integers stored densely, to the bit. Every weight is read back: it is zero where it is
    pruned. A weight whose form fails the proof takes the next better one, and the report says so. A
    file that fails all the same never takes its name: what was there before, with `overwrite`, is
    still there.

    The file has a signature with the model's own names of inputs and outputs. What Keras has
    numbered is numbered within the model, so one model gives the same bytes in every process.

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
            and, where `precision` is `"int8"` and there are `samples`, for `"int8"`. One that fails
            its proof, or loses clearly more than the best one, is left out.
        precision: The lowest precision of the weights, `"float32"`, `"float16"` or `"int8"`. By
            default `"float32"`, and for the targets `int8` and `micro` their own.
        samples: Real inputs, as the model is called with: an array, or a list or dict of arrays,
            their first axis the examples; or a `tf.data.Dataset` or generator of batches as for
            `model.fit`, of which `x` counts. Without them made-up inputs are compared.
        calibrate: How many samples activations are calibrated on, spread evenly over all. By
            default 256, and all where an input may be an index into a table.
        compare: How many samples are compared, spread evenly over all.
        batch: How many examples the file takes at once. By default one, or as many as the model
            was built for.
        weigh: For the target `auto`, how much each counts: a dict with any of `"bytes"`, `"time"`
            and `"memory"`. By default all count alike.
        measure: Whether to measure time and memory on this machine as well, which takes about ten
            seconds; see `measure.measure`. Not for `"micro"`, whose runtime is another.
        overwrite: Whether a file already at `path` is replaced.
        at_least: The sparsity, in [0, 1], that the model's kernels must have together, as for
            `strip`: by their masks, or by their zeros where there are none.

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
        ExportError: The model cannot be exported or the file failed its proof.
        FileExistsError: There is a file at `path`, and `overwrite` is false.
        FileNotFoundError: The folder of `path` is not there.
        OSError: `path` is a folder, or cannot be written.
        ValueError: An argument is none of its choices, `samples` do not fit the model, or it is
            denser than `at_least`.
    """
    path = Path(path)
    precision = _check(target, precision, weigh, measure)
    refuse_denser(model, at_least)
    for name, count in (("calibrate", calibrate), ("compare", compare), ("batch", batch)):
        _check_count(name, count)
    if path.exists() and not path.is_dir() and not (path.is_file() and overwrite):
        way = "pass overwrite=True to replace it" if path.is_file() else "it is no ordinary file"
        raise FileExistsError(f"{path} exists already; {way}.")
    with _appearing_whole(path) as file:
        source = prepare(model, samples, batch=batch, calibrate=calibrate, compare=compare)
        if target == "auto":
            built, proven = auto.best(source, precision, weigh or _ALIKE)
        else:
            proving = functools.partial(proof.prove, source=source, target=target)
            build = targets.BUILDERS[target]
            built, proven = replacement.proven(build, source, precision, proving)
        made = report.build(
            built.data,
            path=path,
            target=target,
            precision=precision,
            dense=source.dense_data,
            dense_int8=built.dense_integers or size.dense_int8(source.dense_data),
            reasons=built.reasons,
            proof=proven,
            notes=(*built.notes, *notes.collect(target, source, built, proven)),
        )
        file.write(built.data)
    return made.measured(measuring.measure([path])) if measure else made


@contextlib.contextmanager
def _appearing_whole(path):
    """A file to write that takes its name only when the block ends without an error."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it.")
    if not path.parent.exists():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
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
    precision = targets.resolve_precision(target, precision, (*targets.BUILDERS, "auto"))
    if weigh is not None:
        if target != "auto":
            raise ValueError(f"`weigh` is for the target 'auto'; received target {target!r}.")
        auto.check_weigh(weigh)
    if measure and target == "micro":
        raise ValueError("`measure` times a file in LiteRT, not in TensorFlow Lite Micro.")
    return precision


def _check_count(name, count):
    whole = isinstance(count, int) and not isinstance(count, bool)
    if count is not None and not (whole and count >= 1):
        raise ValueError(f"`{name}` is {count!r}; it must be a whole number, one or more.")
