"""Each target keeps its promise: bytes, sparse kernels, loading everywhere, operators known."""

import keras
import numpy as np
import pytest
import sample_files
from keras import layers

from keras_lottery import Lottery
from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import inspection, proof, stored_weight
from keras_lottery.exporters.tflite.conversion.source import Built, prepare
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.rewriting import forms, rewritable
from keras_lottery.exporters.tflite.runtimes import measure
from keras_lottery.exporters.tflite.targets import auto, latency, size

PRECISIONS = ("float32", "float16", "int8")


def magnitude_pruned(model, sparsity=0.95):
    """The model, exactly this fraction of each kernel's weights zero, the smallest ones."""
    for variable in model.weights:
        if len(variable.shape) > 1:
            value = variable.numpy()
            smallest = np.argsort(np.abs(value), axis=None)[: round(sparsity * value.size)]
            value.reshape(-1)[smallest] = 0
            variable.assign(value)
    return model


def lenet_300_100():
    keras.utils.set_random_seed(0)
    return magnitude_pruned(
        keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Flatten(),
                layers.Dense(300, "relu", name="fc1"),
                layers.Dense(100, "relu", name="fc2"),
                layers.Dense(10, "softmax", name="output"),
            ]
        )
    )


def convolutional(widths):
    keras.utils.set_random_seed(0)
    stack = [keras.Input((32, 32, 3))]
    for width in widths:
        stack += [layers.Conv2D(width, 3, padding="same", activation="relu") for _ in range(2)]
        stack.append(layers.MaxPooling2D())
    stack += [layers.Flatten(), layers.Dense(256, "relu"), layers.Dense(256, "relu")]
    return magnitude_pruned(keras.Sequential([*stack, layers.Dense(10, "softmax")]))


@pytest.fixture(scope="module")
def lenet():
    samples = np.random.default_rng(0).random((16, 28, 28, 1), np.float32)
    return prepare(lenet_300_100(), samples)


def computed(data):
    return {each.name: each.computed for each in inspection.read(data).weights}


def test_lenet_is_small(lenet):
    """The figures to reach are 40,600 bytes, and the stock converter's 84,960 and 58,356."""
    sizes = {precision: len(size.build(lenet, precision).data) for precision in PRECISIONS}
    assert sizes["float32"] < 73_000
    assert sizes["float16"] < 47_000
    assert sizes["int8"] < 33_400


@pytest.mark.parametrize(
    ("widths", "most"), [((64, 128), 286_500), ((64, 128, 256), 254_500)], ids=["conv4", "conv6"]
)
def test_convolutional_networks_are_small(widths, most):
    """The figures to reach are 304,000 and 281,000 bytes."""
    source = prepare(convolutional(widths))
    assert len(size.build(source, "int8").data) < most


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_a_storage_costs_no_more_than_it_says(kind):
    """The choice between storages is by these costs, so a file never grows."""
    layer = layers.Dense(400) if kind == "dense" else layers.Conv2D(40, 3)
    model = keras.Sequential([keras.Input((600,) if kind == "dense" else (8, 8, 16)), layer])
    data = prepare(magnitude_pruned(model, 0.9)).dense_data

    def stored(precision, number):
        changed = flatbuffer.read(data)
        [found] = rewritable.find(changed)
        choice = forms.possible(found.values, found.axis, precision)[number]
        forms.write(changed, found.subgraph, found.index, choice)
        size.finish(changed)
        return choice, len(flatbuffer.write(changed))

    plain, whole = stored("float32", 0)
    for precision, number in [
        ("float32", 1),
        ("float16", 1),
        ("float16", 3),
        ("int8", 1),
        ("int8", 3),
    ]:
        choice, got = stored(precision, number)
        assert got - whole <= choice.bytes - plain.bytes


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_file_grows(sparsity, precision):
    model = keras.Sequential([keras.Input((48,)), layers.Dense(40), layers.Dense(3)])
    source = prepare(magnitude_pruned(model, sparsity))
    built = size.build(source, precision)
    assert len(built.data) <= len(source.dense_data)
    if precision == "int8":
        assert len(built.data) <= len(size.dense_int8(source.dense_data))


@pytest.mark.parametrize("target", ["size", "int8", "micro"])
def test_no_file_grows_whose_weights_share_their_bytes(target, tmp_path):
    """Stored densely, two kernels of zeros are the same 768 bytes."""
    stack = [layers.Dense(12, use_bias=False), layers.Dense(64), layers.Dense(12, use_bias=False)]
    model = keras.Sequential([keras.Input((1,)), *stack])
    for layer in model.layers:
        layer.kernel.assign(keras.ops.zeros_like(layer.kernel))
    samples = np.random.default_rng(0).standard_normal((8, 1))
    report = tflite.export(model, tmp_path / "x.tflite", target=target, samples=samples)
    dense = report.dense_size if target == "size" else report.dense_int8_size
    assert report.inspection.file_bytes <= dense.raw


def test_latency_computes_blocks_and_single_weights_sparsely(lenet):
    blocky = sample_files.dense_network(inputs=256, hidden=256, sparsity=0.9, block=4)
    built = latency.build(prepare(blocky), "float32")
    assert computed(built.data) == {
        "fc1/kernel": stored_weight.SPARSE,
        "output/kernel": stored_weight.SPARSE,
    }
    assert "DENSIFY" not in inspection.read(built.data).operators
    encodings = {each.encoding for each in inspection.read(built.data).weights}
    assert all("1x4" in encoding for encoding in encodings)
    built = latency.build(lenet, "float32")
    assert set(computed(built.data).values()) == {stored_weight.SPARSE}


def test_a_network_without_convolutions_is_told_nothing_of_them(tmp_path):
    """Though its Dense layers are written as convolutions of 1x1."""
    model = sample_files.dense_network(inputs=64, hidden=100, sparsity=0.9)
    samples = np.random.default_rng(0).random((8, 64))
    report = tflite.export(model, tmp_path / "x.tflite", target="int8", samples=samples)
    assert report.inspection.operators["CONV_2D"] == 2
    assert report.inspection.sparse_path is None


def test_latency_leaves_dense_what_is_too_small_to_be_faster():
    small = sample_files.dense_network(inputs=64, hidden=100, sparsity=0.9, block=4)
    built = latency.build(prepare(small), "float32")
    assert stored_weight.SPARSE not in computed(built.data).values()
    assert "too few weights" in built.reasons["fc1/kernel"]


@pytest.mark.parametrize("shape", [(16, 16), (16, 4, 4)])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_latency_computes_blocks_after_a_flatten(shape, precision, tmp_path):
    stack = [layers.Flatten(), layers.Dense(128, name="fc1"), layers.Dense(3)]
    model = sample_files.pruned(keras.Sequential([keras.Input(shape), *stack]), 0.9, block=16)
    report = tflite.export(model, tmp_path / "model.tflite", target="latency", precision=precision)
    found = {each.name: each.computed for each in report.inspection.weights}
    assert found["fc1/kernel"] == stored_weight.SPARSE


def test_latency_computes_int8_blocks_of_sixteen(tmp_path):
    model = sample_files.dense_network(inputs=256, hidden=128, sparsity=0.9, block=16)
    path = tmp_path / "model.tflite"
    report = tflite.export(model, path, target="latency", precision="int8")
    found = {each.name: (each.dtype, each.computed) for each in report.inspection.weights}
    assert found["fc1/kernel"] == ("int8", stored_weight.SPARSE)


def test_latency_leaves_blocks_that_do_not_divide_to_the_runtime(tmp_path):
    """Where the stock converter drops the tail of each row."""
    model = sample_files.dense_network(inputs=30, hidden=64, sparsity=0.6)
    report = tflite.export(model, tmp_path / "model.tflite", target="latency")
    assert (
        computed((tmp_path / "model.tflite").read_bytes())["fc1/kernel"] == stored_weight.UNPACKED
    )
    assert max(report.proof.errors.values()) < 1e-5


def test_latency_reaches_the_sparse_convolutions(tmp_path):
    path = tmp_path / "model.tflite"
    report = tflite.export(sample_files.separable_network(), path, target="latency")
    assert report.inspection.sparse_path.taken


def test_int8_is_smaller_than_dense_and_loads_everywhere(lenet, tmp_path):
    path = tmp_path / "model.tflite"
    report = tflite.export(lenet.model, path, target="int8", samples=lenet.samples)
    assert path.stat().st_size < 44_600
    assert set(report.proof.errors) == {"XNNPACK", "built-in kernels"}
    assert all(each.dtype == "int8" for each in report.inspection.weights)


@pytest.fixture
def taking(monkeypatch):
    """Lets files take so many seconds and bytes of memory, by target."""

    def set_costs(costs):
        def measured(files, **_):
            return [
                measure.Measurement(
                    path.name, "XNNPACK", median=costs[path.stem][0], memory=costs[path.stem][1]
                )
                for path in files
                if path.stem in costs
            ]

        monkeypatch.setattr(measure, "measure", measured)

    return set_costs


@pytest.mark.parametrize(
    ("weigh", "chosen"),
    [
        ({"bytes": 1}, "size, by bytes 1."),
        ({"time": 2}, "latency, by time 2."),
        ({"memory": 1}, "latency, by memory 1."),
        ({"bytes": 1, "time": 1}, "int8, by bytes 1, time 1."),
    ],
)
def test_auto_weighs_what_it_is_told_to_and_says_why(weigh, chosen, taking):
    taking({"size": (9e-6, 900), "latency": (3e-6, 300), "int8": (4e-6, 800)})
    model = sample_files.dense_network(inputs=256, hidden=256, sparsity=0.9, block=4)
    samples = np.random.default_rng(0).random((8, 256), np.float32)
    built, _ = auto.best(prepare(model, samples), "int8", weigh)
    assert built.notes[0].startswith(f"Chosen: target {chosen}")


def candidate(target, agreement, channel_error):
    built = Built(b"x" * 2300, {}, "int8")
    found = proof.Proof({"XNNPACK": 0.0}, agreement=agreement, channel_error=channel_error)
    return auto.Candidate(target, built, found)


def test_auto_gives_no_classes_for_bytes():
    best = candidate("size", 1.0, 0.05)
    sound, notes = auto.sounder([best, candidate("int8", 0.97, 0.06)])
    assert sound == [best]
    assert notes == [
        "Not chosen: target int8, 2,300 bytes. Of its classes 97.0% agree with Keras, of the best "
        "file's 100.0%; more than 2% are not given for bytes or time."
    ]
    assert len(auto.sounder([best, candidate("int8", 0.985, 0.06)])[0]) == 2


def test_auto_gives_no_channel_for_bytes():
    best = candidate("size", None, 0.01)
    sound, [note] = auto.sounder([candidate("int8", None, 0.3), best])
    assert sound == [best]
    assert "A channel is off by 30% of its range, in the best file by 1%" in note


def test_auto_leaves_out_integers_that_lose_classes(taking, tmp_path):
    """Two scores with a lead that int8 activations cannot hold; int8 weights can."""
    taking({"size": (9e-6, 900), "latency": (9e-6, 900), "int8": (1e-6, 100)})
    stack = [layers.Dense(64, name="fc1"), layers.Dense(2, name="scores")]
    model = sample_files.pruned(keras.Sequential([keras.Input((64,)), *stack]), 0.5)
    kernel = model.layers[1].kernel.numpy()
    model.layers[1].kernel.assign(kernel[:, :1] * [1, 1] + 0.02 * kernel * [0, 1])
    samples = np.random.default_rng(0).standard_normal((400, 64))
    report = tflite.export(
        model, tmp_path / "x.tflite", target="auto", precision="int8", samples=samples
    )
    assert "target int8" not in report.notes[0]
    assert any(note.startswith("Not chosen: target int8") for note in report.notes)


def test_auto_measures_and_proves_what_it_chose(tmp_path):
    report = tflite.export(sample_files.dense_network(), tmp_path / "model.tflite", target="auto")
    assert report.notes[0].startswith("Chosen: target ")
    assert max(report.proof.errors.values()) < 1e-5


def test_auto_leaves_out_what_fails_its_proof(tmp_path, monkeypatch):
    model = sample_files.dense_network(inputs=256, hidden=256, sparsity=0.9, block=4)

    def fails_for_size(built, source, target):
        if target == "size":
            raise tflite.ExportError("XNNPACK is off.")
        return proof.prove(built, source, target)

    monkeypatch.setattr(auto, "prove", fails_for_size)
    report = tflite.export(model, tmp_path / "x.tflite", target="auto")
    assert report.notes[0].startswith("Chosen: target latency")
    assert "Not among the candidates: target size. XNNPACK is off." in report.notes
    assert {each.computed for each in report.inspection.weights} == {stored_weight.SPARSE}


def test_auto_skips_what_cannot_be_built(tmp_path):
    """TensorFlow cannot quantise a loop; the other candidates do not need it to."""
    sequence = keras.Input((6, 12))
    model = magnitude_pruned(keras.Model(sequence, layers.LSTM(8)(sequence)))
    samples = np.random.default_rng(0).random((4, 6, 12), np.float32)
    report = tflite.export(
        model, tmp_path / "x.tflite", target="auto", precision="int8", samples=samples
    )
    [skipped] = [note for note in report.notes if note.startswith("Not among the candidates")]
    assert "target int8" in skipped
    assert "has a loop" in skipped


def test_integers_whose_bias_would_cost_more_than_zeros_save_stay_dense(tmp_path):
    # As a convolution the layer needs a bias, with a scale for each of its outputs.
    model = keras.Sequential([keras.Input((18,)), keras.layers.Dense(300, use_bias=False)])
    Lottery(model).prune(0.75)
    samples = np.random.default_rng(0).standard_normal((16, 18))
    report = tflite.export(model, tmp_path / "model.tflite", target="int8", samples=samples)
    assert (tmp_path / "model.tflite").stat().st_size <= report.dense_int8_size.raw
