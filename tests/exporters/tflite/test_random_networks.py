"""Random networks, shapes, sparsities, targets and precisions: every export proves itself."""

import re

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import layers

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import proof
from keras_lottery.exporters.tflite.conversion.source import Built, prepare
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.targets import integer

MODES = [
    ("size", "float32"),
    ("size", "float16"),
    ("size", "int8"),
    ("latency", "float32"),
    ("latency", "float16"),
    ("latency", "int8"),
    ("int8", None),
    ("micro", None),
]


@st.composite
def recipes(draw):
    """The shape of an input, and for each layer on it its class and arguments."""
    rank = draw(st.sampled_from([0, 0, 1, 2, "tokens"]))
    if rank == "tokens":
        lookup = (layers.Embedding, {"input_dim": draw(st.integers(2, 60)), "output_dim": 8})
        pooled = draw(st.sampled_from([layers.Flatten, layers.GlobalAveragePooling1D, None]))
        recipe = [lookup] + ([] if pooled is None else [(pooled, {})])
        return (draw(st.integers(2, 9)),), recipe + draw(st.lists(DENSE, min_size=1, max_size=3))
    channels = st.integers(1, 9) if rank else st.integers(1, 40) | st.sampled_from([64, 300, 512])
    shape = (*(draw(st.integers(4, 9)) for _ in range(rank)), draw(channels))
    recipe = []
    for _ in range(draw(st.integers(0, 2)) if rank == 2 else 0):
        recipe.append(draw(CONVOLUTIONS))
        if draw(st.booleans()):
            recipe.append((layers.BatchNormalization, {}))
    if rank and draw(st.booleans()):
        recipe.append((layers.Flatten, {}))
    return shape, recipe + draw(st.lists(DENSE, min_size=1, max_size=3))


def layer(kind, **arguments):
    return st.tuples(st.just(kind), st.fixed_dictionaries(arguments))


DENSE = layer(
    layers.Dense,
    units=st.integers(2, 40) | st.sampled_from([64, 260, 300]),
    activation=st.sampled_from([None, "relu", "tanh", "softmax"]),
    use_bias=st.booleans(),
)
ANY_CONVOLUTION = {
    "kernel_size": st.integers(1, 3),
    "padding": st.sampled_from(["same", "valid"]),
    "strides": st.integers(1, 2),
    "use_bias": st.booleans(),
    "activation": st.sampled_from([None, "relu"]),
}
CONVOLUTIONS = st.one_of(
    layer(layers.Conv2D, filters=st.integers(1, 20), **ANY_CONVOLUTION),
    layer(layers.DepthwiseConv2D, depth_multiplier=st.integers(1, 3), **ANY_CONVOLUTION),
    layer(layers.SeparableConv2D, filters=st.integers(1, 20), **ANY_CONVOLUTION),
    layer(layers.Conv2DTranspose, filters=st.integers(1, 6), **ANY_CONVOLUTION),
)


def prune(model, sparsity, block, decades, seed):
    """Random values everywhere, and zeros in blocks along the inputs.

    The channels of the output differ in size by so many decades.
    """
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.name == "seed_generator_state":
            continue
        value = rng.normal(0, 1 / np.sqrt(max(variable.shape[-2:-1], default=4)), variable.shape)
        if "variance" in variable.name:
            value = 0.5 + np.abs(value)
        if len(variable.shape) > 1:
            rows = -(-value.shape[-2] // block)
            alive = rng.random((*value.shape[:-2], rows, value.shape[-1])) >= sparsity
            value *= alive.repeat(block, axis=-2)[..., : value.shape[-2], :]
        if any(variable is own for own in model.layers[-1].weights):
            value *= np.logspace(-decades / 2, decades / 2, value.shape[-1])
        variable.assign(value)


def samples_for(model, recipe, ordered, seed):
    """Inputs for a model: in no order, or from dark to bright; of a table every row, in order."""
    rng, shape = np.random.default_rng(seed), model.input_shape[1:]
    kind, arguments = recipe[0]
    if kind is layers.Embedding:
        rows = np.resize(np.arange(arguments["input_dim"]), (80, *shape))
        return rows if ordered else rng.permuted(rows, axis=0)
    samples = rng.standard_normal((80, *shape))
    if ordered:
        samples *= np.linspace(0.05, 1, 80).reshape(-1, *[1] * len(shape))
    return samples


CASES = {
    "recipe": recipes(),
    "sparsity": st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.9, 0.95, 1.0])),
    "block": st.sampled_from([1, 1, 4, 16]),
    "decades": st.sampled_from([0, 0, 1, 4]),
    "ordered": st.booleans(),
    "mode": st.sampled_from(MODES),
    "seed": st.integers(0, 2**32 - 1),
}

# Hypothesis measures what the first conversion in a process takes, too.
EVERY_CASE = {"deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}


def check(folder, recipe, sparsity, block, decades, ordered, mode, seed):
    target, precision = mode
    shape, stack = recipe
    made = [kind(**arguments) for kind, arguments in stack]
    try:
        kind = "int32" if isinstance(made[0], layers.Embedding) else "float32"
        model = keras.Sequential([keras.Input(shape, dtype=kind), *made])
    except ValueError:  # Its convolutions leave no pixel.
        hypothesis.reject()
    prune(model, sparsity, block, decades, seed)
    samples = samples_for(model, stack, ordered, seed)
    path = folder / "model.tflite"
    arguments = {"target": target, "precision": precision, "samples": samples, "compare": 16}
    try:
        report = tflite.export(model, path, **arguments, overwrite=True)
    except tflite.ExportError as error:
        # In float32 there is always a form that serves. The same integers are not right densely
        # either where channels differ too much, or a network is all but dead.
        assert target in ("int8", "micro")
        check_that_dense_integers_fail(prepare(model, samples, compare=16), target, error)
        return
    counterparts = (
        [report.dense_size] if target in ("size", "latency") else [report.dense_int8_size]
    )
    replaced = any("better form" in note for note in report.notes)
    if (target, precision) == ("size", "int8") and not replaced:
        counterparts.append(report.dense_int8_size)
    for counterpart in counterparts:
        assert path.stat().st_size <= counterpart.raw
    for weight in report.inspection.weights:
        assert weight.stored_bytes <= weight.dense_bytes


def check_that_dense_integers_fail(source, target, error):
    kind = "int8" if target == "micro" else "float32"
    try:
        dense = flatbuffer.write(integer.quantized(source, kind))
    except tflite.ExportError as failure:
        assert str(failure) == str(error)
        return
    built = Built(dense, {}, "full_int8", dense)
    with pytest.raises(tflite.ExportError) as failure:
        proof.prove(built, source, target)
    # In the same way, but for the number of the operator that a runtime refuses.
    assert re.sub("[0-9]", "", str(failure.value)) == re.sub("[0-9]", "", str(error))


@hypothesis.given(**CASES)
@hypothesis.settings(max_examples=8, derandomize=True, database=None, **EVERY_CASE)
def test_a_few_random_networks(tmp_path_factory, **case):
    check(tmp_path_factory.getbasetemp(), **case)


@pytest.mark.long
@hypothesis.given(**CASES)
@hypothesis.settings(max_examples=500, **EVERY_CASE)
def test_five_hundred_random_networks(tmp_path_factory, **case):
    check(tmp_path_factory.getbasetemp(), **case)
