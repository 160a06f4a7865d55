"""A file of an open batch, made for a batch of one."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite.conversion import convert, examples, signature, static
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.runtimes import interpreter


def dense_on_sequences():
    return keras.Sequential([keras.Input((4, 3)), layers.Dense(2), layers.Dense(5)])


def dense_on_single_values():
    """TensorFlow 2.21 converts it with an open batch only."""
    return keras.Sequential([keras.Input((4, 1)), layers.Dense(2), layers.Dense(5)])


def converted_at_an_open_batch(model):
    inputs = keras.KerasTensor((None, *model.input_shape[1:]), "float32")
    return convert._convert(model, inputs, None)


def operators(data):
    file = flatbuffer.read(data)
    graph = Graph(file, file.subgraphs[0])
    return {graph.name(operator) for operator in file.subgraphs[0].operators}


@pytest.mark.parametrize("make", [dense_on_sequences, dense_on_single_values])
def test_shapes_are_constants_and_outputs_the_same(make):
    model = make()
    opened = converted_at_an_open_batch(model)
    assert "SHAPE" in operators(opened)

    data = static.for_batch(opened)

    assert operators(data) <= operators(opened) - {"SHAPE", "REDUCE_PROD", "PACK", "GATHER"}
    assert len(data) < len(opened)
    samples = examples.made_up(signature.infer(model), 3)
    for runtime in interpreter.RUNTIMES:
        np.testing.assert_allclose(
            interpreter.invoke(data, [samples], runtime)[0], model.predict(samples, verbose=0), 1e-4
        )


def test_every_shape_is_the_one_computed():
    data = static.for_batch(converted_at_an_open_batch(dense_on_single_values()))
    main = flatbuffer.read(data).subgraphs[0]
    shapes = {tuple(tensor.shape) for tensor in main.tensors if tensor.type == 0}
    assert {(1, 4, 1), (4, 1), (4, 2), (4, 5), (1, 4, 5)} <= shapes
    assert all(tensor.shapeSignature is None for tensor in main.tensors)


@pytest.mark.parametrize("target", ["size", "latency", "int8", "micro"])
def test_a_network_that_tensorflow_converts_only_with_an_open_batch_reaches_every_target(
    target, tmp_path
):
    samples = np.random.default_rng(0).standard_normal((8, 4, 1)).astype("float32")
    path = tmp_path / "model.tflite"
    tflite.export(dense_on_single_values(), path, target=target, samples=samples)
    assert "REDUCE_PROD" not in operators(path.read_bytes())
