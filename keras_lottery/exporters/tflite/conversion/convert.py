"""`convert(model, signature) -> bytes`: any Keras 3 model as a dense float32 flatbuffer.

The model's call is traced at a batch of fixed size, its variables are frozen into the graph as
constants, and the graph is converted with built-in operators only. No SavedModel is written on the
way, so nothing is printed and the file carries no signature. The static batch keeps shape
arithmetic out of the graph.
"""

import contextlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_lottery.exporters.tflite.conversion import names, reference, static
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.model import variables


def convert(
    model: keras.Model, signature: Any, configure: Callable[[Any], None] | None = None
) -> bytes:
    """Converts a built Keras model to a TFLite flatbuffer.

    Args:
        model: A built `keras.Model` of any kind. A model of mixed precision is converted as it
            computes in float32.
        signature: The structure of tensors that it is called with, see `signature.infer`.
        configure: Sets options of the `tf.lite.TFLiteConverter` that it is called with. By default
            the file is dense and float32.

    Returns:
        The flatbuffer, `bytes`.

    Raises:
        ExportError: A weight is not finite, or an operation cannot be expressed by TFLite's
            built-in operators.
    """
    check_finite(model)
    try:
        return _convert(model, signature, configure)
    except ExportError as error:
        # TensorFlow 2.21 fails on Dense layers over a sequence of single values, unless the batch
        # is open; the file is for a fixed batch all the same.
        any_batch = keras.tree.map_structure(
            lambda t: keras.KerasTensor((None, *t.shape[1:]), t.dtype), signature
        )
        try:
            batch = keras.tree.flatten(signature)[0].shape[0]
            return static.for_batch(_convert(model, any_batch, configure), batch)
        except ExportError:
            raise error from None


def _convert(model: keras.Model, signature: Any, configure: Callable[[Any], None] | None) -> bytes:
    _check_backend()
    function = _traced(model, signature)
    _check_state(function, model)
    converter = _frozen(function)
    if configure is not None:
        configure(converter)
    with _no_chatter(), warnings.catch_warnings():
        # It asks for statistics of inputs, then takes them from the representative data.
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
        try:
            data: bytes = converter.convert()
            return data
        except Exception as error:  # the converter raises undocumented kinds of its own
            # Of pages of text, the first line that says what is wrong names the operation.
            found = re.search("error: (.*)", str(error))
            reason = found.group(1) if found else str(error)
            raise ExportError(
                f"TFLite's built-in operators cannot express the model {model.name!r}: "
                f"{reason}{_needed_by(reason, function.graph, model)}"
            ) from error


def _needed_by(reason: str, graph: Any, model: keras.Model) -> str:
    """A clause that says who calls the operation that cannot be expressed; "" if nobody is found.

    TensorFlow keeps the stack on which each operation was made, with functions of `keras.ops` and
    the user's own code.
    """
    kind = re.search(r"'tf\.(\w+)' op", reason)
    made = [each for each in graph.get_operations() if kind and each.type == kind.group(1)]
    if not made:
        return ""
    layer = _layer(made[0], model)
    calls = [
        frame.name
        for frame in made[0].traceback
        if re.search("keras/src/(ops|backend)/", frame.filename) and hasattr(keras.ops, frame.name)
    ]
    found = [f"keras.ops.{calls[0]}"] if calls else []
    found += [f"the layer {layer!r}"] if layer else []
    return f"; needed by {' in '.join(found)}" if found else ""


def _layer(operation: Any, model: keras.Model) -> str:
    """The name of the layer that an operation is part of; "" if it is in none."""
    layers = names.of_layers(model)
    return names.layer_of(operation.name, layers)


def _frozen(function: Any) -> Any:
    """A `tf.lite.TFLiteConverter` of the model's call, with the variables frozen in."""
    import tensorflow as tf

    with _no_notice():
        # Given the Keras model to track, the converter would export uninitialised variables.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _check_backend() -> None:
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Export needs Keras on TensorFlow, not on {keras.backend.backend()}: save "
            "the model as .keras and export it with KERAS_BACKEND=tensorflow."
        )


def _check_state(function: Any, model: keras.Model) -> None:
    """Raises `ExportError` if a call of the model changes its variables."""
    captured = {inner.ref(): outer.ref() for outer, inner in function.graph.captures}
    own = {each.value.handle.ref(): each.path for each in model.variables}
    for operation in function.graph.get_operations():
        if not operation.type.startswith("Assign"):
            continue
        layer = _layer(operation, model)
        name = own.get(captured.get(operation.inputs[0].ref()), "its state")
        raise ExportError(
            f"The {f'layer {layer!r}' if layer else f'model {model.name!r}'} keeps state from call "
            f"to call (it changes {name!r}), which a file of constants cannot: build it without "
            "stateful=True, or pass the state in and out."
        )


def variables_read(model: keras.Model, signature: Any) -> list[keras.Variable]:
    """The variables that the model reads when it is called."""
    captured = {id(variable) for variable in _traced(model, signature).graph.variables}
    return [variable for variable in model.variables if id(variable.value) in captured]


def _traced(model: keras.Model, signature: Any) -> Any:
    """The model's call as TensorFlow's `ConcreteFunction` of flat inputs and outputs."""
    import tensorflow as tf

    # TensorFlow and Keras flatten an OrderedDict each in its own order.
    flat = [tf.TensorSpec(t.shape, t.dtype) for t in keras.tree.flatten(signature)]

    def call(*inputs: Any) -> list[Any]:
        return reference.flat(model(keras.tree.pack_sequence_as(signature, inputs), training=False))

    with reference.in_float32(model), names.as_in_file(model):
        try:
            return tf.function(call, autograph=False).get_concrete_function(*flat)
        except Exception as error:  # the model's own code may raise anything
            raise ExportError(f"TensorFlow cannot trace {model.name!r}: {error}") from error


def check_finite(model: keras.Model) -> None:
    """Raises `ExportError` naming the first weight that has a NaN or an infinity."""
    for name, variable in variables.named(model).items():
        value = variable.numpy()
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            bad = np.count_nonzero(~np.isfinite(value))
            raise ExportError(f"The weight {name!r} has {bad} NaN or infinite values.")


@contextlib.contextmanager
def _no_notice() -> Iterator[None]:
    """Drops the converter's advice to pass an object to track, which is the wrong advice here."""

    def drop(record: logging.LogRecord) -> bool:
        return "trackable_obj" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)


@contextlib.contextmanager
def _no_chatter() -> Iterator[None]:
    """Drops what the converter's native code prints to standard error, past Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
