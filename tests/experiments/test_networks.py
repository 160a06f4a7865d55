"""Every network: its size, its names, its seeds, its preset."""

import functools
import re

import keras
import numpy as np
import pytest

from experiments import networks

CIFAR = (32, 32, 3)

# Kernel weights (all, of the convolutions alone): the paper's numbers, and hand counts.
SIZES = {
    ("lenet_300_100", (28, 28, 1)): (266_200, 0),
    ("digits_mlp", (8, 8, 1)): (17_024, 0),
    ("conv2", CIFAR): (4_300_992, 38_592),
    ("conv4", CIFAR): (2_425_024, 259_776),
    ("conv6", CIFAR): (2_261_184, 1_144_512),
    ("resnet20", CIFAR): (270_896, 270_256),
    ("vgg19", CIFAR): (20_024_000, 20_018_880),
    # 3 * 3 * 3 * 8; 9 weights a channel in the depthwise ones; 256 * 10.
    ("mobilenet_v1", CIFAR): (216 + 9 * 1_240 + 196_224 + 2_560, 216 + 9 * 1_240 + 196_224),
}


@functools.cache
def built(name, shape):
    return networks.get(name).build(shape, 10)


def kernels(model):
    return {
        f"{layer.name}/{variable.name}": variable
        for layer in model.layers
        for variable in layer.weights
        if variable.name == "kernel"
    }


def test_an_unknown_name_lists_what_exists():
    with pytest.raises(ValueError, match=r"No network 'lenet'; there are conv2, conv4, .*vgg19"):
        networks.get("lenet")


@pytest.mark.parametrize("name, shape", SIZES)
def test_network(name, shape):
    model = built(name, shape)
    weights = kernels(model)
    every, convolutional = SIZES[name, shape]
    assert sum(np.prod(k.shape) for k in weights.values()) == every
    assert sum(np.prod(k.shape) for k in weights.values() if len(k.shape) == 4) == convolutional


@pytest.mark.parametrize("name", networks.names())
def test_whatever_file_there_is(name):
    model = networks.get(name).build(CIFAR, 10)
    assert model.output_shape == (None, 10)
    assert model.layers[-1].name == "output"
    assert model.layers[-1].activation is keras.activations.linear
    assert not getattr(model, "compiled", False)


@pytest.mark.parametrize("name, shape", [key for key in SIZES if key[0] != "vgg19"])
def test_builds_agree(name, shape):
    build = networks.get(name).build
    one = kernels(built(name, shape))
    same, other = (kernels(build(shape, 10, seed=seed)) for seed in (0, 1))
    assert list(one) == list(same) == list(other)
    for kernel in one:
        values = [keras.ops.convert_to_numpy(weights[kernel]) for weights in (one, same, other)]
        np.testing.assert_array_equal(values[0], values[1])
        assert not np.array_equal(values[0], values[2])


def test_layers_of_one_shape_start_differently():
    weights = kernels(built("resnet20", CIFAR))
    first, second = weights["stage1_block1_conv1/kernel"], weights["stage1_block1_conv2/kernel"]
    assert first.shape == second.shape
    assert not np.array_equal(*(keras.ops.convert_to_numpy(k) for k in (first, second)))


@pytest.mark.parametrize("name", ["lenet_300_100", "conv2", "resnet20", "mobilenet_v1"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 8, 1)])
def test_other_images(name, shape):
    """The networks take small and grey images too."""
    model = networks.get(name).build(shape, 3)
    assert model(np.zeros((2, *shape), "float32")).shape == (2, 3)


@pytest.mark.parametrize("name, shape", SIZES)
def test_preset(name, shape):
    preset = networks.get(name).PRESET
    names = list(kernels(built(name, shape)))
    for pattern in preset.overrides:
        assert any(re.search(pattern, kernel) for kernel in names), pattern
    if preset.exclude is not None:
        left = [kernel for kernel in names if not re.search(preset.exclude, kernel)]
        assert 0 < len(left) < len(names)
    assert isinstance(preset.optimizer.make(10), keras.optimizers.Optimizer)
    assert preset.optimizer.make(10) is not preset.optimizer.make(10)
    assert preset.scope in ("layerwise", "globally")
    assert preset.iterations % preset.evaluate_every == 0


def test_rates_of_the_paper():
    """The output layer at half the rate of the dense ones, convolutions at their own."""
    for name, convolutions in {"conv2": 0.1, "conv4": 0.1, "conv6": 0.15}.items():
        preset = networks.get(name).PRESET
        assert (preset.rate, preset.overrides) == (0.2, {"^conv": convolutions, "^output/": 0.1})
    lenet = networks.get("lenet_300_100").PRESET
    assert (lenet.rate, lenet.overrides) == (0.2, {"^output/": 0.1})
    assert (lenet.batch_size, lenet.iterations, lenet.validation) == (60, 50_000, 5_000)
    assert float(lenet.optimizer.make(50_000).learning_rate) == pytest.approx(1.2e-3)


def test_momentum_warms_up_and_drops_whatever_the_length():
    for iterations in (30_000, 300):
        rate = (
            networks.Optimizer("momentum", 0.5, warm_up=0.1, drops=(0.5, 0.8))
            .make(iterations)
            ._learning_rate
        )

        def at(fraction, rate=rate, iterations=iterations):
            return pytest.approx(float(rate(round(fraction * iterations))), rel=1e-5)

        assert [0.05, 0.25, 0.5, 0.5, 0.05, 0.005] == [
            at(fraction) for fraction in (0, 0.045, 0.1, 0.5, 0.51, 0.81)
        ]


def test_mobilenet_is_one_that_xnnpack_runs_sparsely():
    """In its layers nothing is in the way; the zeros come with pruning."""
    pytest.importorskip("ai_edge_litert")
    from keras_lottery.exporters.tflite.conversion.source import prepare
    from keras_lottery.exporters.tflite.format import flatbuffer
    from keras_lottery.exporters.tflite.runtimes import xnnpack

    dense = prepare(built("mobilenet_v1", CIFAR), None).dense_data
    path = xnnpack.sparse_path(flatbuffer.read(dense))
    assert path.structure == ()
    assert len(path.weights) == 13


def test_mobilenet_at_full_width():
    """The weights of the paper's own network, 1,000 classes: 4.2 M parameters."""
    model = networks.get("mobilenet_v1").build((224, 224, 3), 1_000, width=1.0)
    assert sum(np.prod(kernel.shape) for kernel in kernels(model).values()) == 4_209_088
