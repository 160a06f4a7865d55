"""Dead units go on every backend, with the same answers.

`KERAS_BACKEND=jax pytest tests/backends` runs the same on JAX, and likewise on torch.
"""

import keras
import numpy as np
from keras import layers

import keras_lottery as kl


def test_a_trained_network_of_convolutions_without_dead_units():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(8, 3, padding="same", name="conv1"),
            layers.BatchNormalization(beta_initializer="ones"),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Conv2D(8, 3, padding="same", activation="silu", name="conv2"),
            layers.AveragePooling2D(2, padding="same"),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(3, "softmax", name="output"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    units = kl.Recipe(granularity=kl.granularity.units(), exclude="output")
    lottery = kl.Lottery(model, units)
    lottery.prune(0.5)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 6, 6, 1)).astype("float32"), rng.integers(3, size=32)
    model.fit(x, y, epochs=2, verbose=0)
    small = kl.shrink(model)
    expected, got = (keras.ops.convert_to_numpy(one(x)) for one in (model, small))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # Normalisation shifts the constants of pruned units, and one carries them over the border.
    assert small.get_layer("conv1").filters == 5
    assert small.get_layer("conv2").filters == 4
    assert lottery.attached
