import keras
import numpy as np
import pytest

from experiments import augmentation, networks
from keras_lottery.model import variables

IMAGES = np.random.default_rng(0).random((4, 8, 8, 1), "float32")


@pytest.mark.parametrize("name", ["digits_mlp", "resnet20"])
def test_in_evaluation_a_network_is_as_before_with_its_kernels(name):
    network = networks.get(name).build((8, 8, 1), 10)
    expected = network(IMAGES, training=False)
    names = list(variables.prunable(network))  # what patterns of a recipe are searched in
    model = augmentation.added(network, ["flip", "shift"], dropout=0.5, seed=0)
    assert list(variables.prunable(model)) == names
    for one, other in zip(model.trainable_weights, network.trainable_weights, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(model(IMAGES, training=False), expected)
    assert not np.array_equal(model(IMAGES, training=True), model(IMAGES, training=False))


def test_dropout_follows_every_relu_and_images_come_first():
    network = networks.get("digits_mlp").build((8, 8, 1), 10)
    model = augmentation.added(network, ["flip"], dropout=0.5, seed=0)
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    assert kinds == ["RandomFlip", "Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense"]


def test_without_either_the_network_stays_what_it_is():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    assert augmentation.added(network, [], 0.0, seed=0) is network
