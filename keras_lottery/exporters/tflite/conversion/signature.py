"""The tensors that a model is called with: `infer(model, samples, batch) -> KerasTensors`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.exporters.tflite.conversion import examples
from keras_lottery.exporters.tflite.conversion import names as file_names
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.model import keras_internals


def infer(model: keras.Model, samples: Any = None, batch: int | None = None) -> Any:
    """The structure of tensors that the model is called with, at a batch of a fixed size.

    Args:
        model: A built `keras.Model`.
        samples: Inputs as the model is called with, the first axis of each array being the batch,
            or `None`.
        batch: How many examples a batch has; by default one, or as many as the model was built for.

    Returns:
        A `keras.KerasTensor`, or a list, tuple or dict of them, with names for a file.

    Raises:
        ExportError: The model is unbuilt, was quantised by Keras or computes in float64, or an axis
            other than the batch is unknown.
        ValueError: `model` is no Keras 3 model, or samples or batch do not fit its inputs.
    """
    if not isinstance(model, keras.Model):
        kind = type(model)
        raise ValueError(
            f"`model` is a {kind.__module__}.{kind.__qualname__}; it must be a model of Keras 3."
        )
    if not model.built:
        raise ExportError(f"The model {model.name!r} is not built; call it on an input first.")
    _check_precision(model)
    inputs = _inputs(model)
    declared = _built_shapes(model) if inputs is None else inputs
    if samples is not None:
        examples.check(declared, samples)
        declared = _typed(samples) if inputs is None else inputs
        batch = _batch(inputs, batch)
        shapes = [np.shape(sample) for sample in keras.tree.flatten(samples)]
        return _named(declared, shapes, batch)
    if declared is None:
        raise ExportError(
            f"The model {model.name!r} does not say what it is called with: pass `samples`, real "
            "inputs."
        )
    for tensor in keras.tree.flatten(declared):
        if None in tensor.shape[1:]:
            raise ExportError(
                f"The input {tensor.name!r} has the shape {tensor.shape} and TFLite needs to know "
                "every axis but the first: pass `samples` of the shape wanted."
            )
    shapes = [tensor.shape for tensor in keras.tree.flatten(declared)]
    return _named(declared, shapes, _batch(inputs, batch))


def names(structure: Any, positional: Sequence[str]) -> list[str]:
    """A name for every part of a structure: its keys in a dict, else the positional ones.

    Args:
        structure: The inputs or the outputs of a model.
        positional: A name for each part, by its position.
    """
    if not isinstance(structure, dict):
        return list(positional)
    parts = keras.tree.flatten_with_path(structure)
    return ["/".join(map(str, path)) for path, part in parts if part is not None]


def _check_precision(model: keras.Model) -> None:
    for layer in keras_internals.flat_layers(model):
        policy = layer.dtype_policy
        if isinstance(policy, keras.dtype_policies.QuantizedDTypePolicy):
            raise ExportError(
                f"Keras has quantised the layer {layer.name!r} ({policy.name}): export the model "
                "as it was before `quantize`; precision='int8' stores weights in int8."
            )
        if policy.compute_dtype == "float64":
            raise ExportError(
                f"The layer {layer.name!r} computes in float64, which TFLite does not: build the "
                "model in float32 and load these weights into it."
            )


def _inputs(model: keras.Model) -> Any:
    """The `keras.KerasTensor`s that the model was made with, in their structure; else `None`."""
    if isinstance(model, keras.Sequential) and model.inputs:
        return model.inputs[0]
    return model.input if getattr(model, "inputs", None) else None


def _built_shapes(model: keras.Model) -> Any:
    """The shapes that a subclassed model was built with, as tensors; `None` if it forgot them."""
    config = model.get_build_config() or {}
    if "input_shape" not in config:
        return None
    shape = config["input_shape"]
    if isinstance(shape, (list, tuple)) and shape and not isinstance(shape[0], (list, tuple)):
        return keras.KerasTensor(tuple(shape), name="input")
    return keras.tree.map_shape_structure(lambda s: keras.KerasTensor(s, name="input"), shape)


def _typed(samples: Any) -> Any:
    """Samples as `keras.KerasTensor`s of their own types, but int32 for int64."""
    arrays = [np.asarray(sample) for sample in keras.tree.flatten(samples)]
    positional = ["input"] if len(arrays) == 1 else [f"input_{i}" for i in range(len(arrays))]
    tensors = [
        keras.KerasTensor(
            a.shape, {"int64": "int32"}.get(a.dtype.name, _checked(a.dtype.name, name)), name=name
        )
        for a, name in zip(arrays, names(samples, positional), strict=True)
    ]
    return keras.tree.pack_sequence_as(samples, tensors)


def _batch(inputs: Any, batch: int | None) -> int:
    """The number of examples in a batch."""
    declared = [] if inputs is None else keras.tree.flatten(inputs)
    built = {tensor.shape[0] for tensor in declared if tensor.shape} - {None}
    if batch is None:
        return max(built, default=1)
    if built - {batch}:
        raise ValueError(
            f"`batch` is {batch}; the model was built for batches of {max(built)}: leave it out."
        )
    return batch


def _named(declared: Any, shapes: Sequence[Sequence[int]], batch: int) -> Any:
    """The declared tensors at a batch, with names for a file."""
    flat = keras.tree.flatten(declared)
    positional = ["input"] if len(flat) == 1 else [f"input_{i}" for i in range(len(flat))]
    own = [
        other if file_names.is_counted(tensor.name) else tensor.name
        for tensor, other in zip(flat, positional, strict=True)
    ]
    chosen = file_names.distinct(names(declared, own))
    tensors = [_one(*each, batch) for each in zip(flat, shapes, chosen, strict=True)]
    return keras.tree.pack_sequence_as(declared, tensors)


def _one(
    tensor: keras.KerasTensor, shape: Sequence[int], name: str, batch: int
) -> keras.KerasTensor:
    dtype = _checked(keras.backend.standardize_dtype(tensor.dtype), tensor.name)
    # TFLite has no float64, and half-precision inputs would only be widened again.
    dtype = "float32" if dtype in ("float64", "float16", "bfloat16") else dtype
    return keras.KerasTensor((batch, *shape[1:]), dtype, name=name)


def _checked(dtype: str, name: str) -> str:
    if not dtype.startswith(("float", "bfloat", "int", "uint", "bool")):
        raise ExportError(
            f"The input {name!r} takes {dtype}, not numbers: export the part of the model after "
            "its lookup."
        )
    return dtype
