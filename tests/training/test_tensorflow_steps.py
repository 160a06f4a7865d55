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


@pytest.mark.parametrize(("jit_compile", "path"), [(True, "xla"), (False, "graph")])
def test_the_choice_can_be_forced(jit_compile, path):
    x, y = tiny.samples(count=16)
    model = tiny.dense(jit_compile=not jit_compile)
    params = fit(model, x, y, verbose=0, jit_compile=jit_compile).params
    assert params["fused"] == path
    assert params["fused_reason"] == f"jit_compile={jit_compile}"


@pytest.mark.parametrize("kind", ["Dropout", "GaussianNoise", "AlphaDropout", "SpatialDropout1D"])
def test_random_numbers_are_left_to_tensorflow(kind):
    x, y = tiny.samples(count=16)
    random = getattr(keras.layers, kind)(0.2)
    model = tiny.dense(keras.layers.Reshape((3, 2)), random, keras.layers.Flatten())
    stop = keras.callbacks.EarlyStopping("loss", min_delta=100, patience=0)
    history = fit(model, x, y, batch_size=8, epochs=10_000, verbose=0, callbacks=[stop])
    assert history.params["fused"] == "graph"
    assert "XLA is slower at StatelessRandom" in history.params["fused_reason"]


@pytest.mark.parametrize("as_dataset", [True, False])
def test_text_inside_the_model_is_trained_by_model_fit(as_dataset):
    import tensorflow as tf

    words = keras.layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=2)
    layers = [words, keras.layers.Embedding(4, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.1), "mse")
    x, y = tf.constant(["good", "bad", "bad bad"] * 4), tf.constant([1.0, 0.0, 0.0] * 4)
    data = (tf.data.Dataset.from_tensor_slices((x, y)).batch(4),) if as_dataset else (x, y)
    history = fit(model, *data, epochs=20, verbose=0)
    assert history.params["fused"] == "plain"
    assert history.params["fused_reason"].endswith(("not arrays", "is not arrays of numbers"))
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


@pytest.fixture
def interrupts():
    """Ctrl-C raises here: what a shell starts in the background ignores it otherwise."""
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_training_after_its_chunk(interrupts):
    """The model is one of so many whole steps, and can be trained on."""
    import os
    import signal

    import tensorflow as tf

    class Interrupted(keras.Sequential):
        at = 6

        def train_step(self, data):
            tf.py_function(self.interrupt, [self.optimizer.iterations.value], [])
            return super().train_step(data)

        def interrupt(self, step):
            # Again at every step: Python loses an interrupt that falls into a destructor.
            if self.at is not None and step >= self.at:
                os.kill(os.getpid(), signal.SIGINT)

    x, y = tiny.samples(count=960)
    keras.utils.set_random_seed(1)
    layers = [keras.Input((6,)), keras.layers.Dense(tiny.CLASSES, "softmax")]
    model = tiny.compile_as_classifier(Interrupted(layers), "adam")
    arguments = {"batch_size": 8, "chunk": 4, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        fit(model, x, y, **arguments)
    trained = int(model.optimizer.iterations)
    assert 8 <= trained < 120
    assert trained % 4 == 0
    model.at = None
    fit(model, x, y, **arguments)
    assert int(model.optimizer.iterations) == trained + 120


@pytest.mark.long
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


@pytest.mark.long
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
