"""Whatever trains, pruned weights stay where they are held, on every backend.

`KERAS_BACKEND=jax pytest tests/backends` runs the same on JAX, and likewise on torch.
"""

import keras
import numpy as np
import pytest
from watch import BACKEND, JIT, OPTIMIZERS, SEVERAL_STEPS, Watch, assert_held, kernels

import keras_lottery as kl
from keras_lottery import schedules


@pytest.mark.parametrize(
    "optimizer, steps_per_execution, jit",
    [
        ("momentum", 1, False),
        ("momentum", SEVERAL_STEPS, True),
        ("adam", 1, True),
        ("adam", SEVERAL_STEPS, False),
        ("decay", SEVERAL_STEPS, False),
        ("average", 1, False),
        ("average", SEVERAL_STEPS, True),
        ("final average", SEVERAL_STEPS, False),
        ("accumulation", 1, False),
        ("accumulation", SEVERAL_STEPS, True),
        ("loss scaling", SEVERAL_STEPS, False),
    ],
)
@pytest.mark.long
def test_every_optimizer_keeps_the_masks(make_model, data, optimizer, steps_per_execution, jit):
    model = make_model(
        OPTIMIZERS[optimizer](),
        steps_per_execution=steps_per_execution,
        jit_compile=JIT.get(BACKEND, jit),
    )
    start = kernels(model)
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    watch = Watch()
    model.fit(*data, batch_size=6, verbose=0, callbacks=[watch])
    assert watch.looks == 14 // steps_per_execution
    assert_held(lottery)  # also after the average was written into the weights
    lottery.check()
    for path, after in kernels(model).items():
        alive = after != 0
        assert alive.sum() == after.size // 2
        assert np.mean(after[alive] != start[path][alive]) > 0.9


@pytest.mark.parametrize("steps_per_execution", [1, SEVERAL_STEPS])
def test_pruned_weights_stay_frozen(make_model, data, steps_per_execution):
    model = make_model("adam", steps_per_execution=steps_per_execution)
    lottery = kl.Lottery(model, kl.Recipe(hold_at="freeze"))
    start = {name: keras.ops.convert_to_numpy(k) for name, k in lottery._kernels.items()}
    lottery.prune(0.3)
    model.fit(*data, batch_size=6, verbose=0, callbacks=[Watch(start)])
    lottery.prune(0.6)
    model.fit(*data, batch_size=6, verbose=0, callbacks=[Watch(start)])
    lottery.check()


def test_mixed_precision(data):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "softmax", name="fc")])
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam", "categorical_crossentropy")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    watch = Watch()
    model.fit(*data, batch_size=12, verbose=0, callbacks=[watch])
    assert watch.looks == 7
    # A step whose gradients overflow is skipped: the scale is still the first one's half.
    model.fit(data[0] * 1e6, data[1], batch_size=84, verbose=0, callbacks=[watch])
    assert_held(lottery)


def test_custom_training_loop(make_model):
    model = make_model()
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    for _ in range(3):
        gradients = [keras.ops.ones(v.shape) for v in model.trainable_variables]
        optimizer.apply(gradients, model.trainable_variables)
        assert_held(lottery)


class Mixed(keras.Model):
    """A subclassed model: embedding, recurrence, attention and a functional part inside."""

    def __init__(self):
        super().__init__()
        self.embedding = keras.layers.Embedding(9, 8, name="embedding")
        self.lstm = keras.layers.LSTM(8, return_sequences=True, name="lstm")
        self.gru = keras.layers.GRU(8, return_sequences=True, name="gru")
        self.attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
        self.einsum = keras.layers.EinsumDense("btd,de->bte", (None, 8), name="einsum")
        inputs = keras.Input((8,))
        shared = keras.layers.Dense(8, name="shared")
        self.head = keras.Model(inputs, keras.layers.Dense(4, name="out")(shared(shared(inputs))))

    def call(self, tokens):
        x = self.gru(self.lstm(self.embedding(tokens)))
        x = self.einsum(self.attention(x, x))
        return self.head(keras.ops.mean(x, axis=1))


def test_sequence_layers_subclassed_nested_and_shared():
    model = Mixed()
    tokens = np.random.default_rng(0).integers(9, size=(24, 5), dtype="int32")
    model(tokens)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    lottery = kl.Lottery(model)
    names = {name.rpartition("/")[2] for name in lottery.names}
    assert names == {"kernel", "recurrent_kernel", "embeddings"}
    assert len(lottery.names) == 1 + 2 + 2 + 4 + 1 + 2
    lottery.prune(0.5)
    start = kernels(model)
    watch = Watch()
    model.fit(tokens, np.arange(24) % 4, batch_size=12, verbose=0, callbacks=[watch])
    assert watch.looks == 2
    after = kernels(model)
    assert all(np.any(after[path] != start[path]) for path in after)


def test_convolutions_in_a_nested_functional_model():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.SeparableConv2D(4, 3, name="separable")(x)
    backbone = keras.Model(inputs, x, name="backbone")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            backbone,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="output"),
        ]
    )
    model.compile("sgd", "mse")
    lottery = kl.Lottery(model, kl.Recipe(include="kernel"))
    assert [name.rpartition("/")[2] for name in lottery.names] == [
        "kernel",
        "kernel",
        "depthwise_kernel",
        "pointwise_kernel",
        "kernel",
    ]
    lottery.prune(0.5)
    watch = Watch()
    images = np.random.default_rng(0).normal(size=(12, 8, 8, 3)).astype("float32")
    model.fit(images, np.ones((12, 4)), batch_size=6, verbose=0, callbacks=[watch])
    assert watch.looks == 2


@pytest.mark.parametrize("optimizer", ["momentum", "final average", "loss scaling"])
@pytest.mark.long
def test_zero_sparsity_is_a_plain_fit(make_model, data, optimizer):
    def train(callbacks):
        keras.utils.set_random_seed(0)
        model = make_model(OPTIMIZERS[optimizer]())
        history = model.fit(*data, batch_size=12, epochs=2, verbose=0, callbacks=callbacks)
        kl.Lottery.on(model) and kl.strip(model)
        return history.history, model.get_weights(), [v.numpy() for v in model.optimizer.variables]

    plain, masked = train([]), train([kl.Prune(schedules.constant(0.0))])
    assert masked[0].pop("sparsity") == masked[0].pop("sparsity_after") == [0, 0]
    assert plain[0] == masked[0]
    for one, other in zip(plain[1] + plain[2], masked[1] + masked[2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_restored_from_before_the_pruning_are_found(make_model, data):
    model = make_model()
    model.fit(*data, verbose=0)
    lottery = kl.Lottery(model)
    before = model.get_weights()
    lottery.prune(0.5)
    model.set_weights(before)
    with pytest.raises(kl.MaskError, match="'fc1/kernel': 24 of 24"):
        kl.strip(model)
    lottery.enforce()
    kl.strip(model)
