"""Looks at masked models during training, on any backend."""

import keras
import numpy as np

import keras_lottery as kl

BACKEND = keras.backend.backend()
# Without its compiler JAX runs each operation by itself, which takes minutes; torch has none here.
JIT = {"jax": True, "torch": False}
# On torch Keras executes single steps only.
SEVERAL_STEPS = 1 if BACKEND == "torch" else 7


def kernels(model):
    return {
        v.path: keras.ops.convert_to_numpy(v)
        for v in model.weights
        if v.name.endswith(("kernel", "embeddings"))
    }


def assert_held(lottery, held=None):
    """Exactly 0, or the values given."""
    for name, kernel in lottery._kernels.items():
        mask = lottery.masks[name]
        values = keras.ops.convert_to_numpy(kernel)
        expected = np.zeros_like(values) if held is None else held[name]
        np.testing.assert_array_equal(values[~mask], expected[~mask], name)
        assert np.all(values[mask] != 0) or held is not None, name


class Watch(keras.callbacks.Callback):
    """Looks at the weights after every execution."""

    def __init__(self, held=None):
        super().__init__()
        self.held = held
        self.looks = 0

    def on_train_batch_end(self, batch, logs=None):
        assert_held(kl.Lottery.on(self.model), self.held)
        self.looks += 1


OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "decay": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "average": lambda: keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3
    ),
    "final average": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5),
    "accumulation": lambda: keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), initial_scale=2.0**3
    ),
}
