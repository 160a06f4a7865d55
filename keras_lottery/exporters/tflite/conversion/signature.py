"""What a model is called with, samples that fit it, and its own answers."""

import contextlib

import keras
import numpy as np

from keras_lottery.exporters.tflite.errors import ExportError


def of(model, samples=None):
    """The structure of tensors the model is called with, at a batch of one.

    Args:
        model: A built `keras.Model`.
        samples: Inputs as the model is called with, the first axis of each array being the batch,
            or `None`.

    Returns:
        A `keras.KerasTensor`, or a list, tuple or dict of them.

    Raises:
        ExportError: The model is unbuilt or was quantised by Keras, or an axis other than the batch
            is unknown.
        ValueError: It is no Keras 3 model, or the samples do not fit its inputs.
    """
    if not isinstance(model, keras.Model):
        kind = type(model)
        raise ValueError(
            f"`model` is a {kind.__module__}.{kind.__qualname__}; it must be a model of Keras 3."
        )
    if not model.built:
        raise ExportError(f"The model {model.name!r} is not built; call it on an input first.")
    for layer in model._flatten_layers():
        if isinstance(layer.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy):
            raise ExportError(
                f"Keras has quantised the layer {layer.name!r} ({layer.dtype_policy.name}): export "
                "the model as it was before `quantize`; precision='int8' stores weights in int8."
            )
    declared = _declared(model)
    if samples is not None:
        _check_samples(declared, samples)
        declared = samples if declared is None else declared
        shapes = iter([np.shape(sample) for sample in keras.tree.flatten(samples)])
        return keras.tree.map_structure(lambda t: _one(t, next(shapes)), declared)
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
    return keras.tree.map_structure(lambda t: _one(t, t.shape), declared)


def made_up(signature, count, seed=0):
    """Inputs to compare two runtimes on where the user gave none.

    Returns:
        Arrays in the structure of `signature` with `count` examples each: standard normal values
        for a float input, zeros and ones, which are valid for most indices and flags, for any
        other.
    """
    rng = np.random.default_rng(seed)

    def draw(tensor):
        shape = (count, *tensor.shape[1:])
        if tensor.dtype.startswith("float"):
            return rng.standard_normal(shape, dtype=np.float32)
        return rng.integers(0, 2, shape).astype(tensor.dtype)

    return keras.tree.map_structure(draw, signature)


def fitted(samples, signature):
    """Samples that fit a model as arrays, of the types and in the structure of its signature."""
    pairs = zip(keras.tree.flatten(samples), keras.tree.flatten(signature), strict=True)
    arrays = [np.asarray(array, tensor.dtype) for array, tensor in pairs]
    return keras.tree.pack_sequence_as(signature, arrays)


@contextlib.contextmanager
def in_float32(model):
    """Inside, every layer of the model computes in float32; afterwards, as it did before."""
    halves = [
        (layer, layer.dtype_policy)
        for layer in model._flatten_layers()
        if layer.dtype_policy.compute_dtype in ("float16", "bfloat16")
    ]
    for layer, _ in halves:
        layer.dtype_policy = "float32"
    try:
        yield
    finally:
        for layer, policy in halves:
            layer.dtype_policy = policy


def answers(model, samples):
    """The model's own outputs on the samples, computed in float32: a flat list of arrays."""
    with in_float32(model):
        outputs = model(keras.tree.map_structure(np.asarray, samples), training=False)
    return [output.numpy() for output in keras.tree.flatten(outputs)]


def _declared(model):
    if isinstance(model, keras.Sequential) and model.inputs:
        return model.inputs[0]
    if getattr(model, "inputs", None):
        return model.input  # in the structure the model was made with
    # A subclassed model remembers only the shapes it was built with.
    config = model.get_build_config() or {}
    if "input_shape" not in config:
        return None
    shape = config["input_shape"]
    if isinstance(shape, (list, tuple)) and shape and not isinstance(shape[0], (list, tuple)):
        return keras.KerasTensor(tuple(shape), name="input")
    return keras.tree.map_shape_structure(lambda s: keras.KerasTensor(s, name="input"), shape)


def _one(tensor, shape):
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    # TFLite has no float64, and half-precision inputs would only be widened again.
    dtype = "float32" if dtype in ("float64", "float16", "bfloat16") else dtype
    return keras.KerasTensor((1, *shape[1:]), dtype, name=getattr(tensor, "name", "input"))


def _check_samples(declared, samples):
    expected = samples if declared is None else declared
    if _kind(samples) != _kind(expected):
        raise ValueError(f"`samples` is {_kind(samples)}; the model takes {_kind(expected)}.")
    arrays = keras.tree.flatten(samples)
    counts = {np.shape(a)[0] if np.ndim(a) else 0 for a in arrays}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            "`samples` needs the same number of examples, one or more, along the first axis of "
            f"every input; received the shapes {sorted({np.shape(a) for a in arrays})}."
        )
    shapes = [tuple(np.shape(t)[1:]) for t in keras.tree.flatten(expected)]
    given = [np.shape(a)[1:] for a in arrays]
    fits = len(shapes) == len(given) and all(
        len(s) == len(g) and all(n in (None, m) for n, m in zip(s, g, strict=True))
        for s, g in zip(shapes, given, strict=True)
    )
    if not fits:
        raise ValueError(f"`samples` has examples of the shapes {given}; the model takes {shapes}.")


def _kind(structure):
    """How inputs are told apart: by their names, or by their order."""
    if isinstance(structure, dict):
        return f"a dict of {', '.join(sorted(map(str, structure)))}"
    return "an array or a list of them"
