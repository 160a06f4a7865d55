"""The forecast before training: bytes by the encoder, speed only where a sparse kernel exists."""

import keras
import numpy as np
import pytest
import sample_files

from keras_lottery.core.event import prune
from keras_lottery.core.granularity import blocks, weights
from keras_lottery.core.kernel import Kernel
from keras_lottery.exporters.tflite import targets
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.preflight import preflight
from keras_lottery.exporters.tflite.targets import integer, latency


@pytest.fixture(scope="module")
def dense_forecast():
    model = sample_files.dense_network(inputs=256, hidden=130, sparsity=0)
    return preflight(model, "latency", sparsity=0.9)


def by_name(result):
    return {(f.kernel, f.granularity): f for f in result.forecasts}


def test_every_kernel_in_every_granularity(dense_forecast):
    assert list(by_name(dense_forecast)) == [
        (kernel, granularity)
        for kernel in ("fc1/kernel", "output/kernel")
        for granularity in ("weights()", "blocks(4)", "blocks(16)")
    ]
    assert {f.operator for f in dense_forecast.forecasts} == {"FULLY_CONNECTED"}


def test_blocks_are_faster_and_scattered_weights_are_not(dense_forecast):
    found = by_name(dense_forecast)
    assert found["fc1/kernel", "weights()"].speed == 1
    assert found["fc1/kernel", "blocks(4)"].speed > 2
    assert dense_forecast.best()["fc1/kernel"].granularity != "weights()"


def test_blocks_that_do_not_divide_the_inputs_are_not_fast(dense_forecast):
    found = by_name(dense_forecast)
    assert found["output/kernel", "blocks(4)"].shape == (130, 16)
    assert found["output/kernel", "blocks(4)"].speed == 1


def test_dense_layers_are_not_faster_in_a_file_made_for_size():
    network = sample_files.dense_network(inputs=64, hidden=30, sparsity=0)
    found = preflight(network, "size", sparsity=0.98)
    assert {forecast.speed for forecast in found.forecasts} == {1}
    assert {forecast.where for forecast in found.forecasts} == {""}


def test_dense_layers_over_a_sequence_are_not_faster():
    sequence = keras.Input((6, 64))
    model = keras.Model(sequence, keras.layers.Dense(64)(sequence))
    found = preflight(model, "latency", sparsity=0.98)
    assert {forecast.speed for forecast in found.forecasts} == {1}


def test_the_speed_is_the_one_that_the_exporter_chooses_by():
    network = sample_files.dense_network(inputs=256, hidden=256, sparsity=0)
    [first, _] = preflight(network, "latency", sparsity=0.9, granularities=[blocks(4)]).forecasts
    pruned = prune(
        [Kernel.of(network.layers[0].kernel.numpy(), name="fc1")],
        sparsity=0.9,
        granularity=blocks(4),
    )["fc1"]
    network.layers[0].kernel.assign(network.layers[0].kernel * pruned)
    reasons = latency.build(prepare(network), "float32").reasons
    assert f"estimated {first.speed:.1f} times as fast" in reasons["fc1/kernel"]


def test_coarser_pieces_need_fewer_indices(dense_forecast):
    found = by_name(dense_forecast)
    sizes = [found["fc1/kernel", name].bytes for name in ("blocks(16)", "blocks(4)", "weights()")]
    assert sizes == sorted(sizes)
    assert sizes[-1] < found["fc1/kernel", "weights()"].dense_bytes


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("target", ["size", "latency"])
def test_the_file_is_no_larger_than_forecast(target, precision):
    network = sample_files.dense_network(inputs=600, hidden=300, sparsity=0)
    found = preflight(
        network, target, sparsity=0.9, precision=precision, granularities=[weights()]
    ).forecasts
    empty = len(prepare(network).dense_data) - sum(
        4 * layer.kernel.numpy().size for layer in network.layers
    )
    sample_files.pruned(network, 0.9)
    built = targets.BUILDERS[target](prepare(network), precision)
    forecast = empty + sum(f.bytes for f in found)
    assert 0.9 * forecast < len(built.data) <= forecast


@pytest.mark.parametrize(("target", "kind"), [("int8", "float32"), ("micro", "int8")])
def test_a_file_of_integers_is_no_larger_than_forecast(target, kind):
    network = sample_files.dense_network(inputs=600, hidden=300, sparsity=0)
    samples = np.random.default_rng(0).standard_normal((8, 600))
    found = preflight(network, target, sparsity=0.9, granularities=[weights()]).forecasts
    assert [f.dense_bytes for f in found] == [600 * 300, 300 * 16]
    dense = flatbuffer.write(integer.quantized(prepare(network, samples), kind))
    sample_files.pruned(network, 0.9)
    built = targets.BUILDERS[target](prepare(network, samples), "int8")
    forecast = len(dense) + sum(f.bytes - f.dense_bytes for f in found)
    assert 0.9 * forecast < len(built.data) <= forecast


def test_a_network_that_micro_cannot_run_is_refused():
    video = keras.Input((4, 4, 4, 1))
    model = keras.Model(video, keras.layers.Conv3D(2, 2)(video))
    with pytest.raises(ExportError, match="Micro lacks CONV_3D"):
        preflight(model, "micro")


def test_a_dense_layer_that_is_smaller_as_a_convolution_is_forecast_so():
    network = sample_files.dense_network(inputs=600, hidden=300, sparsity=0)
    forecast = by_name(preflight(network, sparsity=0.9, granularities=[weights()]))
    found = forecast["fc1/kernel", "weights()"]
    # Each weight that is left takes four bytes and an index of one, not two.
    assert found.bytes < 18_000 * 5.5


class Scale(keras.layers.Layer):
    """Its weight is an operand of MUL, which takes no weights from a DENSIFY operator."""

    def build(self, shape):
        self.w = self.add_weight(shape=shape[1:], name="w")

    def call(self, x):
        return x * self.w


def test_what_the_exporter_leaves_dense_is_forecast_so():
    model = keras.Sequential([keras.Input((16, 16)), Scale()])
    for forecast in preflight(model, sparsity=0.9, precision="int8").forecasts:
        assert forecast.operator == "MUL"
        assert forecast.bytes == forecast.dense_bytes == 1024


def test_weights_that_no_lottery_prunes_are_not_forecast():
    sequence = keras.Input((6, 8))
    layers = [keras.layers.LayerNormalization(axis=[1, 2]), keras.layers.Dense(4, name="last")]
    model = keras.Sequential([sequence, *layers])
    assert {each.kernel for each in preflight(model).forecasts} == {"last/kernel"}


def test_of_granularities_that_pay_alike_the_first_given_is_best():
    network = sample_files.dense_network(inputs=64, hidden=30, sparsity=0)
    for order in ([weights(), blocks(4)], [blocks(4), weights()]):
        best = preflight(network, sparsity=0.0, granularities=order).best()
        assert {each.granularity for each in best.values()} == {order[0].name}


def test_1x1_convolutions_are_fast_where_the_network_qualifies():
    found = by_name(preflight(sample_files.separable_network(0), granularities=[blocks(4)]))
    assert found["pointwise/kernel", "blocks(4)"].speed > 2
    assert "without AVX" in found["pointwise/kernel", "blocks(4)"].where
    assert found["stem/kernel", "blocks(4)"].speed == 1


def test_the_table_says_which_is_best(dense_forecast):
    text = str(dense_forecast)
    assert text.startswith("At 90% zeros:")
    assert text.count("best") == 2
    assert " no " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "speed"}, "size, latency, int8, micro"),
        ({"target": "auto"}, "size, latency, int8, micro"),
        (
            {"target": "int8", "precision": "float16"},
            "`precision` is 'float16', but target 'int8' always stores int8",
        ),
        ({"precision": "int4"}, "float32, float16, int8"),
        ({"sparsity": 90}, "in \\[0, 1\\]"),
        ({"granularities": "blocks(4)"}, "a list such as"),
        ({"granularities": blocks(4)}, "a list such as"),
    ],
)
def test_wrong_arguments_are_told_what_is_right(arguments, message):
    with pytest.raises(ValueError, match=message):
        preflight(sample_files.dense_network(), **arguments)


def test_a_loop_is_refused_for_integers_as_by_the_export():
    model = keras.Sequential([keras.Input((6, 12)), keras.layers.LSTM(8)])
    with pytest.raises(ExportError, match="has a loop"):
        preflight(model, "int8")


def test_many_kernels_are_a_short_table_with_totals():
    stack = [keras.layers.Dense(20 + number, name=f"fc{number}") for number in range(12)]
    found = preflight(keras.Sequential([keras.Input((20,)), *stack]), sparsity=0.9)
    lines = str(found).splitlines()
    assert len(lines) < 20
    [others] = [line for line in lines if line.startswith("4 smaller ones")]
    assert others.endswith("best")
    assert sum(line.startswith("all 12") for line in lines) == 3
    for name, (taken, dense) in found.totals().items():
        same = [f for f in found.forecasts if f.granularity == name]
        assert (taken, dense) == (sum(f.bytes for f in same), sum(f.dense_bytes for f in same))
        assert any(name in line and f"{taken:,}" in line and f"{dense:,}" in line for line in lines)
