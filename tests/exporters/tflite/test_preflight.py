"""The forecast before training: bytes by the encoder, speed only where a sparse kernel exists."""

import keras
import pytest
import sample_files

from keras_lottery.core.granularity import blocks, weights
from keras_lottery.core.kernel import Kernel
from keras_lottery.core.prune import prune
from keras_lottery.exporters.tflite import inspection, latency, source
from keras_lottery.exporters.tflite.preflight import preflight


@pytest.fixture(scope="module")
def dense_forecast():
    model = sample_files.dense_network(inputs=64, hidden=30, sparsity=0)
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
    assert found["output/kernel", "blocks(4)"].shape == (30, 16)
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
    network = sample_files.dense_network(inputs=64, hidden=64, sparsity=0)
    [first, _] = preflight(network, "latency", sparsity=0.9, granularities=[blocks(4)]).forecasts
    pruned = prune(
        [Kernel.of(network.layers[0].kernel.numpy(), name="fc1")],
        sparsity=0.9,
        granularity=blocks(4),
    )["fc1"]
    network.layers[0].kernel.assign(network.layers[0].kernel * pruned)
    reasons = latency.build(source.prepare(network), "float32").reasons
    assert f"estimated {first.speed:.1f} times as fast" in reasons["fc1/kernel"]


def test_coarser_pieces_need_fewer_indices(dense_forecast):
    found = by_name(dense_forecast)
    sizes = [found["fc1/kernel", name].bytes for name in ("blocks(16)", "blocks(4)", "weights()")]
    assert sizes == sorted(sizes)
    assert sizes[-1] < found["fc1/kernel", "weights()"].dense_bytes


def test_the_bytes_are_those_of_a_pruned_file():
    forecast = preflight(
        sample_files.dense_network(sparsity=0), sparsity=0.8, granularities=[weights()]
    )
    found = inspection.inspect(sample_files.stock_file("float32"))
    stored = {w.shape: w.stored_bytes for w in found.weights}
    first = by_name(forecast)["fc1/kernel", "weights()"]
    # TensorFlow's encoder knows one order of the axes, ours takes the better of all.
    assert 0.9 * stored[16, 32] < first.bytes <= stored[16, 32] + 8


def test_1x1_convolutions_are_fast_where_the_network_qualifies():
    found = by_name(preflight(sample_files.separable_network(0), granularities=[blocks(4)]))
    assert found["pointwise/kernel", "blocks(4)"].speed > 2
    assert "without AVX" in found["pointwise/kernel", "blocks(4)"].where
    assert found["stem/kernel", "blocks(4)"].speed == 1


def test_the_table_says_which_is_best(dense_forecast):
    text = str(dense_forecast)
    assert text.startswith("At 90% zeros:")
    assert text.count("best") == 2
    assert "no, unpacked" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "speed"}, "'size' or 'latency'"),
        ({"precision": "int4"}, "float32, float16, int8"),
        ({"sparsity": 90}, "in \\[0, 1\\]"),
    ],
)
def test_wrong_arguments_are_told_what_is_right(arguments, message):
    with pytest.raises(ValueError, match=message):
        preflight(sample_files.dense_network(), **arguments)
