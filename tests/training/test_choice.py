import keras
import pytest

from keras_lottery.training import choice


def compiled(model_class=keras.Sequential, **arguments):
    model = model_class([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **arguments)
    return model


class OwnFit(keras.Sequential):
    def fit(self, *args):
        raise NotImplementedError


class OwnTrainFunction(keras.Sequential):
    def make_train_function(self, force=False):
        raise NotImplementedError


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch is never fused")
def test_what_cannot_be_fused_and_why():
    assert choice.obstacle(compiled()) is None
    assert choice.obstacle(compiled(run_eagerly=True)) == "the model runs eagerly"
    assert choice.obstacle(compiled(OwnFit)) == "the model has its own fit"
    assert (
        choice.obstacle(compiled(OwnTrainFunction)) == "the model has its own make_train_function"
    )
    assert choice.obstacle(keras.Sequential([keras.Input((2,))])) == "the model is not compiled"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute")
def test_distributed_training_is_not_fused():
    import tensorflow as tf

    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = compiled()
    assert choice.obstacle(model) == "training is distributed by OneDeviceStrategy"


@pytest.mark.parametrize(
    ("operations", "steps", "jit_compile", "on_cpu", "path"),
    [
        (["MatMul"], 1000, "auto", True, "xla"),
        (["MatMul"], 999, "auto", True, "graph"),
        (["MatMul", "MaxPool"], 10_000, "auto", True, "graph"),
        (["DepthwiseConv2dNative"], 10_000, "auto", True, "graph"),
        (["Conv2D"], 1, True, True, "xla"),
        (["Conv2D"], 10_000, True, False, "xla"),
        (["MatMul"], 10_000, "auto", False, "graph"),
        (["MatMul"], 10_000, False, True, "graph"),
    ],
)
def test_the_rule(operations, steps, jit_compile, on_cpu, path):
    assert choice.tensorflow_choice(operations, steps, jit_compile, on_cpu).path == path


def test_a_choice_reads_as_a_sentence():
    assert str(choice.Choice("plain", "the model runs eagerly")) == (
        "Training by ordinary model.fit: the model runs eagerly."
    )
