"""What only TensorFlow can do: choose between XLA and its own kernels."""

import keras
import numpy as np
import pytest
import tiny

from keras_lottery.training import fit

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's own steps"
)


class Refused(keras.Sequential):
    """A model with a train step that XLA cannot compile."""

    def train_step(self, data):
        import tensorflow as tf

        # Not a constant, or it would be computed before XLA is asked.
        tf.py_function(lambda value: None, [data[1][0]], [])
        return super().train_step(data)


def test_what_xla_refuses_is_trained_without_it_and_said(capsys):
    def refused():
        keras.utils.set_random_seed(1)
        layers = [keras.Input((6,)), keras.layers.Dense(tiny.CLASSES, "softmax")]
        return tiny.compile_as_classifier(Refused(layers), "adam", jit_compile=True)

    x, y = tiny.samples(count=16)
    model, other = refused(), refused()
    history = fit(model, x, y, batch_size=8, epochs=2, verbose=2)
    assert history.params["fused"] == "graph"
    assert history.params["fused_reason"].startswith("XLA refuses the model (")
    assert capsys.readouterr().out.count("in TensorFlow's own kernels: XLA refuses") == 1

    other.jit_compile = False
    plain = fit(other, x, y, batch_size=8, epochs=2, verbose=0, fused="never")
    tiny.assert_same(model, history, other, plain, 1e-6)


def test_a_long_training_of_a_dense_network_is_compiled():
    x, y = tiny.samples(count=40)
    model, other = tiny.dense(), tiny.dense()
    history = fit(model, x, y, batch_size=2, epochs=50, verbose=0, chunk=1000)
    assert history.params["fused"] == "xla"
    plain = fit(other, x, y, batch_size=2, epochs=50, verbose=0, fused="never")
    tiny.assert_same(model, history, other, plain, 1e-4)


def test_xla_compiles_one_program_for_chunks_at_any_position():
    import tensorflow as tf

    from keras_lottery.training.data import Samples
    from keras_lottery.training.tensorflow_steps import Steps

    x, y = tiny.samples(count=40)
    samples = Samples((x, y), 8).as_tensors()
    steps = Steps(tiny.dense(compiled="sgd"), samples, "train", choose=None)
    loop = tf.function(steps._loop(steps._step(), 8, True), jit_compile=True)
    order = tf.range(40)
    # What XLA takes for a constant is written into the program.
    programs = {
        loop.experimental_get_compiler_ir(
            samples.arrays, order, tf.constant(begin), tf.constant(count)
        )(stage="hlo")
        for begin, count in [(0, 2), (16, 3)]
    }
    assert len(programs) == 1


def test_the_model_and_its_data_are_freed():
    import gc
    import weakref

    x, y = tiny.samples(count=16)
    model = tiny.dense()
    fit(model, x, y, verbose=0)
    model, there = None, weakref.ref(model)
    gc.collect()
    assert there() is None


def test_nothing_of_ours_is_in_a_saved_model(tmp_path):
    x, y = tiny.samples(count=16)
    model = tiny.dense()
    fit(model, x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(tiny.state(loaded), tiny.state(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
