"""What must hold on every backend: train, then look.

`KERAS_BACKEND=jax pytest tests/test_backends.py` runs the same on JAX, and likewise on torch.
"""

import keras
import numpy as np
import pytest

import keras_lottery as kl
from keras_lottery import schedules

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
        assert_held(kl.Lottery.of(self.model), self.held)
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
    lottery = kl.Lottery(model, pruned="freeze")
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


def test_the_users_constraint_comes_first_and_returns(make_model, data):
    model = make_model(keras.optimizers.SGD(0.5))
    own = keras.constraints.UnitNorm(axis=0)
    model.get_layer("fc1").kernel.constraint = own
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    model.fit(*data, batch_size=12, verbose=0)
    assert_held(lottery)
    kernel = keras.ops.convert_to_numpy(model.get_layer("fc1").kernel)
    # The norm was made 1 before the mask took weights out.
    assert np.all(np.linalg.norm(kernel, axis=0) < 1 + 1e-6)
    lottery.prune(0.0)
    lottery.detach()
    assert model.get_layer("fc1").kernel.constraint is own
    model.fit(*data, batch_size=12, verbose=0)
    kernel = keras.ops.convert_to_numpy(model.get_layer("fc1").kernel)
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
    assert np.all(kernel != 0)  # nothing holds them any more


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
    tokens = np.random.default_rng(0).integers(9, size=(24, 5))
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
    lottery = kl.Lottery(model)
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
def test_zero_sparsity_is_a_plain_fit(make_model, data, optimizer):
    def train(callbacks):
        keras.utils.set_random_seed(0)
        model = make_model(OPTIMIZERS[optimizer]())
        history = model.fit(*data, batch_size=12, epochs=2, verbose=0, callbacks=callbacks)
        kl.Lottery.of(model) and kl.strip(model)
        return history.history, model.get_weights(), [v.numpy() for v in model.optimizer.variables]

    plain, masked = train([]), train([kl.Prune(schedules.constant(0.0))])
    assert masked[0].pop("sparsity") == [0, 0]
    assert plain[0] == masked[0]
    for one, other in zip(plain[1] + plain[2], masked[1] + masked[2], strict=True):
        np.testing.assert_array_equal(one, other)


LOAD = """
import sys, warnings
warnings.simplefilter("error", UserWarning)
import keras, numpy as np
for path in PATHS:
    model = keras.saving.load_model(path)
    kernel = keras.ops.convert_to_numpy(model.get_layer("fc1").kernel)
    print((kernel == 0).sum(), int(model.optimizer.iterations), len(model.optimizer.variables))
assert not any(name.startswith("keras_lottery") for name in sys.modules)
"""


def test_files_load_without_us(make_model, data, tmp_path, run_python):
    """Saved in mid-epoch, after `fit` with the masks on, and stripped; with all optimizer state."""
    paths, expected = [], []
    for optimizer in ("momentum", "loss scaling"):
        plain = make_model(OPTIMIZERS[optimizer]())
        plain.optimizer.build(plain.trainable_variables)
        model = make_model(OPTIMIZERS[optimizer]())
        during, after, stripped = (
            str(tmp_path / f"{optimizer} {when}.keras") for when in ("during", "after", "stripped")
        )
        model.fit(
            *data,
            batch_size=12,
            epochs=2,
            verbose=0,
            callbacks=[
                kl.Prune(schedules.constant(0.5, begin=1), pruned="freeze_unless_shrinking"),
                keras.callbacks.ModelCheckpoint(during, save_freq=9),
            ],
        )
        model.save(after)
        zeros = np.count_nonzero(kernels(model)[model.get_layer("fc1").kernel.path] == 0)
        kl.strip(model).save(stripped)
        count = len(plain.optimizer.variables)
        paths += [during, after, stripped]
        expected += [f"{zeros} {steps} {count}" for steps in (9, 14, 14)]
    assert run_python(LOAD.replace("PATHS", repr(paths))).splitlines() == expected


def test_saving_in_mid_epoch_leaves_training_alone(data, tmp_path):
    """Nor does it mix up masks of one shape, or masks and the values held."""
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(6, name="a"), keras.layers.Dense(6, name="b")]
    )
    model.compile("sgd", "mse")
    lottery = kl.Lottery(model, pruned="freeze")
    start = {name: keras.ops.convert_to_numpy(k) for name, k in lottery._kernels.items()}
    lottery.prune(0.5)
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "model.keras"), save_freq=2)
    x = data[0]
    model.fit(x, x, batch_size=12, verbose=0, callbacks=[save, Watch(start)])
    lottery.check()


def test_after_detach_nothing_of_ours_remains(make_model, data):
    plain, model = make_model("adam"), make_model("adam")
    plain.optimizer.build(plain.trainable_variables)
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    model.fit(*data, verbose=0)
    lottery.detach()
    assert all(v.constraint is None for v in model.variables)
    assert len(model.optimizer.variables) == len(plain.optimizer.variables)
    added = set(vars(model.optimizer)) - set(vars(plain.optimizer))
    assert not added & {"save_own_variables", "load_own_variables"}
    model.fit(*data, verbose=0)
    assert all(np.all(kernel != 0) for kernel in kernels(model).values())
    with pytest.raises(kl.MaskError, match="fc1/kernel"):
        lottery.check()
    lottery.attach()
    lottery.enforce()
    model.fit(*data, verbose=0)
    assert_held(lottery)


@pytest.mark.parametrize("again", [False, True])
def test_a_constraint_that_was_replaced(make_model, data, again):
    """Its mask goes at `detach` like the others; or comes back, after the new constraint."""
    model = make_model("sgd")
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    replaced = keras.constraints.MaxNorm(1.0)
    model.get_layer("fc1").kernel.constraint = replaced
    if again:
        lottery.attach()
        model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.detach()
    assert model.get_layer("fc1").kernel.constraint is replaced
    assert len(model.optimizer.variables) == 2


def test_masks_survive_compiling_anew(make_model, data):
    model = make_model("adam")
    lottery = kl.Lottery(model)
    lottery.prune(0.25)
    model.fit(*data, verbose=0)
    model.compile("sgd", "categorical_crossentropy")
    model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.prune(0.5)
    model.fit(*data, verbose=0, callbacks=[Watch()])
    assert lottery.remaining == {"fc1/kernel": 24, "output/kernel": 16}
    lottery.rewind()
    assert int(model.optimizer.iterations) == 0
    lottery.detach()
    assert len(model.optimizer.variables) == 2


def test_a_model_masked_before_it_is_compiled(data):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="fc1")])
    lottery = kl.Lottery(model)
    lottery.prune(0.25)
    model.compile("adam", "mse")
    model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.prune(0.5)
    model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.rewind()
    assert int(model.optimizer.iterations) == 0
    assert_held(lottery)


def test_pruning_in_mid_epoch(make_model, data):
    model = make_model("adam")
    prune = kl.Prune(schedules.constant(0.5, begin=3), unit="step", rewind=kl.rewind.to_step(2))
    model.fit(*data, batch_size=12, verbose=0, callbacks=[prune])
    assert int(model.optimizer.iterations) == 6  # of seven steps the third was done twice
    assert_held(prune.lottery)
    assert prune.lottery.remaining == {"fc1/kernel": 24, "output/kernel": 16}


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_rewinding_within_fit(make_model, data, unit):
    """A rewind to a point during training, also in the middle of an epoch."""
    model = make_model("adam")
    at = 1 if unit == "epoch" else 4
    seen = {}

    class Remember(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            step = int(self.model.optimizer.iterations)
            seen.setdefault(step, []).append(self.model.get_weights())

    prune = kl.Prune(
        schedules.constant(0.5, begin=2 if unit == "epoch" else 11),
        rewind=kl.rewind.to_epoch(at) if unit == "epoch" else kl.rewind.to_step(at),
        unit=unit,
    )
    model.fit(
        *data, batch_size=12, epochs=3, shuffle=False, verbose=0, callbacks=[prune, Remember()]
    )
    point = prune.lottery.state.point
    assert point.step == (7 if unit == "epoch" else 4)
    saved = seen[point.step][0]
    for value, weights in zip(
        (v for n, v in point.values.items() if "seed" not in n), saved, strict=True
    ):
        np.testing.assert_array_equal(value, weights)
    # The iteration count went back: the steps after the point were done twice.
    assert len(seen[point.step + 1]) == 2
    assert max(seen) == (14 if unit == "epoch" else 21 - 7)
    assert_held(prune.lottery)
    assert prune.lottery.remaining == {"fc1/kernel": 24, "output/kernel": 16}


def test_rounds_rewind_everything(make_model, data):
    starts, rounds = [], []
    for r in kl.rounds(lambda: make_model(OPTIMIZERS["momentum"]()), count=2, rate=0.5):
        start = r.ticket.values
        starts.append(start)
        for name, mask in r.ticket.masks.items():
            now = keras.ops.convert_to_numpy(kl.Lottery.of(r.model)._kernels[name])
            np.testing.assert_array_equal(now, mask * start[name])
        assert all(
            not np.any(keras.ops.convert_to_numpy(v))
            for v in r.model.optimizer.variables
            if "mask" not in v.name and "learning_rate" not in v.name
        )
        r.model.fit(*data, batch_size=12, verbose=0, callbacks=r.callbacks)
        rounds.append(r)
    assert [r.kept for r in rounds] == [
        {"fc1/kernel": 48, "output/kernel": 32},
        {"fc1/kernel": 24, "output/kernel": 16},
        {"fc1/kernel": 12, "output/kernel": 8},
    ]
    for kind in ("reinit", "random_mask", "shuffle_layerwise"):
        control = rounds[1].control(kind)
        control.fit(*data, batch_size=12, verbose=0)
        lottery = kl.Lottery.of(control)
        lottery.check()
        assert lottery.remaining == rounds[2].kept if kind == "reinit" else True


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


def test_import_loads_no_exporter(run_python):
    """Nor TensorFlow, on a backend that does not need it."""
    heavy = ("tensorflow", "ai_edge_litert", "tensorflow_model_optimization")
    loaded = run_python(
        "import sys, keras\nbefore = set(sys.modules)\nimport keras_lottery\n"
        f"print([m for m in sys.modules if m not in before and m.split('.')[0] in {heavy}])"
    )
    assert loaded.strip() == "[]"
