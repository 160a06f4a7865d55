"""What XNNPACK would misread channels first stays channels last; all else stays as it was.

On a PC with AVX XNNPACK leaves such networks alone. That the files before this step are wrong in
LiteRT.js, and those after it are right, shows `tests/export/web/test_web_benchmark.py`.
"""

import keras
import numpy as np
import pytest
import sample_files

from keras_lottery.exporters import tflite
from keras_lottery.exporters.tflite import verify
from keras_lottery.exporters.tflite.conversion import reference
from keras_lottery.exporters.tflite.conversion.source import prepare
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import channels_last
from keras_lottery.exporters.tflite.runtimes import channels_first
from keras_lottery.exporters.tflite.targets import size

MODES = [
    ("size", "float32"),
    ("size", "float16"),
    ("size", "int8"),
    ("latency", "float32"),
    ("latency", "int8"),
]


def operators(data):
    file = flatbuffer.read(data)
    graph = Graph(file, file.subgraphs[0])
    return [graph.name(operator) for operator in graph.subgraph.operators]


def encoded(model):
    """The model as the target `size` stores it, before `keep`."""
    stored = flatbuffer.read(prepare(model).dense_data)
    size.encode(stored, "float32")
    return stored


@pytest.mark.parametrize(("target", "precision"), MODES)
def test_a_misread_network_exports_and_answers_as_in_keras(target, precision, tmp_path):
    model = sample_files.torn_network()
    samples = np.random.default_rng(0).random((8, 16, 16, 3), np.float32)
    path = tmp_path / "model.tflite"
    report = tflite.export(model, path, target=target, precision=precision, samples=samples)
    assert {"DENSIFY", "PADV2"} <= set(operators(path.read_bytes()))
    assert report.inspection.defects == ()
    assert not report.inspection.sparse_path.taken
    [note] = [note for note in report.notes if "PADV2" in note]
    assert "before 'stem'" in note and "ADD reads it channels last" in note
    [expected] = reference.answers(model, samples)
    tolerance = {"float32": 1e-5, "float16": 1e-2, "int8": 0.05}[precision]
    for runtime, [got] in verify.answers(path.read_bytes(), [samples]).items():
        assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max(), runtime


def test_the_target_auto_takes_no_misread_file(tmp_path):
    path = tmp_path / "model.tflite"
    report = tflite.export(sample_files.torn_network(), path, target="auto")
    assert report.inspection.defects == ()


@pytest.mark.parametrize(
    "network",
    [sample_files.separable_network, sample_files.dense_network],
    ids=lambda n: n.__name__,
)
def test_what_is_read_rightly_keeps_every_byte(network):
    stored = encoded(network())
    before = flatbuffer.write(stored)
    assert channels_last.keep(stored) == ()
    assert flatbuffer.write(stored) == before


def test_two_stretches_one_of_them_misread():
    """Only the padding before the misread one is written anew."""
    torn, sound = sample_files.torn_network(), sample_files.separable_network()
    # Of two images: one that both read would be padded once for both, and open no stretch.
    images = [keras.Input(network.input_shape[1:]) for network in (torn, sound)]
    both = keras.Model(images, [torn(images[0]), sound(images[1])])
    stored = encoded(both)
    [note] = channels_last.keep(stored)
    found = operators(flatbuffer.write(stored))
    assert (found.count("PAD"), found.count("PADV2")) == (1, 1)
    assert "stem" in note


def test_what_stays_misread_is_refused_by_its_layer(monkeypatch):
    stored = encoded(sample_files.torn_network())
    monkeypatch.setattr(channels_last, "_leave_padding_alone", lambda *_: None)
    with pytest.raises(ExportError, match=r"behind 'stem' compute.* ADD reads it channels last"):
        channels_last.keep(stored)


def test_openings_are_those_of_misread_stretches_alone():
    for network, count in ((sample_files.torn_network, 1), (sample_files.separable_network, 0)):
        stored = encoded(network())
        contents = channels_last.Contents(stored)
        assert len(channels_first.openings(stored, contents)) == count
