"""`Prune` in `model.fit` beside Keras' own callbacks."""

import keras
import numpy as np
from fitting import Do, fit

import keras_lottery as kl
from keras_lottery import schedules


def test_a_reduced_learning_rate_is_rewound(make_model, data):
    rates = []
    plateau = keras.callbacks.ReduceLROnPlateau("sparsity", factor=0.1, patience=1, mode="min")
    record = Do(lambda model, epoch: rates.append(float(model.optimizer.learning_rate)))
    prune = kl.Prune(schedules.constant(0.5, begin=3), rewind=kl.rewind.to_start())
    fit(make_model(keras.optimizers.SGD(0.1)), data, prune, plateau, record)
    # Reduced after the second and third epoch, rewound, reduced once by the fourth.
    np.testing.assert_allclose(rates, [0.1, 0.01, 0.001, 0.01], rtol=1e-5)
