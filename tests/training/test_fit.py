"""`fit` computes what `model.fit` computes over the same batches."""

import keras
import numpy as np
import pytest
import tiny

import keras_lottery as kl
from keras_lottery.training import fit

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="on torch, fit is model.fit")


class OwnStep(keras.Sequential):
    """A train step that returns logs of its own, and counts how often it is traced."""

    traced = 0

    def train_step(self, *arguments):
        self.traced += 1
        result = super().train_step(*arguments)
        if BACKEND == "tensorflow":
            return {"own": result["loss"]}
        logs, state = result
        return {"own": logs["loss"]}, state


def everything():
    """Normalisation, dropout, a schedule, clipping, averaged weights, several metrics; by XLA."""
    keras.utils.set_random_seed(1)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5),
        clipnorm=0.5,
        use_ema=True,
        ema_overwrite_frequency=4,
    )
    hidden = [
        keras.layers.Dense(8, "relu", use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3, seed=5),
    ]
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]
    return tiny.dense(*hidden, compiled=optimizer, metrics=metrics, jit_compile=True)


def loss_scaled():
    keras.utils.set_random_seed(1)
    hidden = keras.layers.Dense(8, "relu", dtype="mixed_float16")
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    scaled = keras.optimizers.LossScaleOptimizer(
        inner, initial_scale=2.0**20, dynamic_growth_steps=5
    )
    return tiny.dense(hidden, compiled=scaled)


def mixed_precision():
    """The policy of a whole model: Keras scales the loss by itself."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tiny.dense()
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    return model


def accumulating():
    return tiny.dense(
        compiled=keras.optimizers.AdamW(weight_decay=0.1, gradient_accumulation_steps=3)
    )


def clipping():
    return tiny.dense(compiled=keras.optimizers.SGD(1.0, momentum=0.5, global_clipnorm=0.1))


def preprocessing():
    """Layers that normalise and augment; what they draw is from seeds of their own."""
    return tiny.dense(
        keras.layers.Normalization(mean=1.0, variance=4.0),
        keras.layers.GaussianNoise(0.2, seed=3),
        keras.layers.Reshape((3, 2, 1)),
        keras.layers.RandomFlip(seed=4),
        keras.layers.RandomBrightness(0.2, value_range=(-3, 3), seed=5),
        keras.layers.Flatten(),
    )


def masked(hold_at="zero", **optimizer):
    model = tiny.dense(compiled=keras.optimizers.Adam(0.01, **optimizer))
    kl.Lottery(model, kl.Recipe(hold_at=hold_at)).prune(0.5)
    return model


AVERAGING = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 4}


def own_step():
    keras.utils.set_random_seed(1)
    return tiny.compile_as_classifier(
        OwnStep([keras.Input((6,)), keras.layers.Dense(tiny.CLASSES, "softmax")]), "sgd"
    )


CASES = {
    "everything, by XLA": (everything, {}, 0),
    "loss scaling": (loss_scaled, {}, 1e-6),
    "gradient accumulation": (accumulating, {}, 1e-6),
    "masked": (masked, {}, 1e-6),
    "held at their values": (lambda: masked("freeze"), {}, 1e-6),
    "masked averages": (lambda: masked(**AVERAGING), {}, 1e-6),
    "held averages": (lambda: masked("freeze", use_ema=True), {}, 1e-6),
    "mixed precision": (mixed_precision, {}, 1e-3),
    "gradient clipping": (clipping, {}, 1e-6),
    "preprocessing": (preprocessing, {}, 1e-6),
    "later epochs": (tiny.dense, {"initial_epoch": 1, "validation_freq": [2]}, 1e-6),
    "own train step": (own_step, {}, 1e-6),
    "sample weights": (tiny.dense, {"sample_weight": np.linspace(0, 2, 50)}, 1e-6),
    "class weights": (tiny.dense, {"class_weight": {0: 3.0, 2: 0.5}}, 1e-6),
}


# Others differ from these in the compiled model only.
SHORT = {"everything, by XLA", "masked", "held averages", "mixed precision", "class weights"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in SHORT else pytest.mark.long) for case in CASES]
)
def test_equals_model_fit(case):
    build, arguments, atol = CASES[case]
    x, y = tiny.samples()
    arguments = arguments | {"batch_size": 8, "epochs": 3, "verbose": 0}
    arguments["shuffle"] = False
    if atol:  # Validating would compile two more functions.
        arguments["validation_data"] = x[:20], y[:20]
    model, other = build(), build()
    history = fit(model, x, y, chunk=4, fused="always", **arguments)
    tiny.assert_same(model, history, other, other.fit(x, y, **arguments), atol)


def test_convolutions_equal_model_fit():
    x, y = tiny.samples((6, 6, 1), 20)
    model, other = tiny.convolutional(), tiny.convolutional()
    arguments = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    if BACKEND == "jax":
        with pytest.raises(ValueError, match="jit_compile=False"):
            fit(model, x, y, fused="always", **arguments)
        return
    history = fit(model, x, y, fused="always", **arguments)
    assert "Conv2D" in history.params["fused_reason"]
    tiny.assert_same(model, history, other, other.fit(x, y, **arguments), 1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.long
def test_shuffling_depends_on_the_seed_alone(chunk):
    x, y = tiny.samples()
    arguments = {"batch_size": 8, "epochs": 3, "seed": 4, "verbose": 0}
    model, other, third = tiny.dense(), tiny.dense(), tiny.dense()
    history = fit(model, x, y, chunk=chunk, fused="always", **arguments)
    plain = fit(other, x, y, fused="never", **arguments)
    assert plain.params["fused"] == "plain"
    tiny.assert_same(model, history, other, plain, 1e-6)
    fit(third, x, y, **(arguments | {"seed": 5}))
    assert not np.allclose(tiny.state(third)[0], tiny.state(model)[0], atol=1e-4)


@pytest.mark.parametrize("weights", [None, np.arange(10.0), [np.arange(10.0), np.ones(10)]])
@pytest.mark.long
def test_structured_inputs_and_outputs_as_tensors(weights):
    keras.utils.set_random_seed(0)
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.concatenate([left, right])
    heads = [keras.layers.Dense(1, name=name)(joined) for name in ("a", "b")]
    model = keras.Model([left, right], heads)
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    for each in (model, other):
        each.compile("sgd", ["mse", "mae"], weighted_metrics=[["mse"], ["mse"]])
    x = [keras.ops.ones((10, 2)), np.arange(20.0).reshape(10, 2)]
    y = [np.ones((10, 1)), keras.ops.zeros((10, 1))]
    arguments = {"batch_size": 4, "shuffle": False, "verbose": 0, "sample_weight": weights}
    history = fit(model, x, y, fused="always", **arguments)
    tiny.assert_same(model, history, other, other.fit(x, y, **arguments), 1e-6)


def test_a_model_trained_again_is_not_traced_again_until_it_changes():
    x, y = tiny.samples()
    model = own_step()
    fit(model, x, y, batch_size=10, verbose=0)
    traced = model.traced
    fit(model, x, y, batch_size=10, epochs=3, seed=9, chunk=2, verbose=0)
    assert model.traced == traced

    kernel = model.layers[0].kernel
    kernel.constraint = keras.constraints.NonNeg()
    if BACKEND == "jax":
        # Keras' JAX trainer has to be told; on TensorFlow we see it.
        model.make_train_function(force=True)
    fit(model, x, y, batch_size=10, verbose=0)
    assert model.traced > traced
    assert keras.ops.convert_to_numpy(kernel).min() == 0

    before = tiny.state(model)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    fit(model, x, y, batch_size=10, verbose=0)
    np.testing.assert_array_equal(tiny.state(model)[0], before[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jit_compile": "yes"}, "'auto', True or False: received 'yes'"),
        ({"fused": True}, "'auto', 'always' or 'never': received True"),
        ({"chunk": 0}, "at least 1 step: received 0"),
        ({"batch_size": 0}, "at least 1 sample: received 0"),
        ({"batch_size": 8.0}, "whole number of samples: received 8.0"),
        ({"validation_freq": 0}, "1 or above, or the epochs as a list: received 0"),
        ({"validation_freq": "2"}, "1 or above, or the epochs as a list: received '2'"),
        ({"seed": None}, "0 or above: received None"),
        ({"fused": "always", "memory_limit": 100}, "exceeds memory_limit=100 bytes"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(tiny.dense(), *tiny.samples(), verbose=0, **arguments)


def test_no_data_is_an_error():
    with pytest.raises(ValueError, match="`x` must be arrays or a source of batches"):
        fit(tiny.dense(), None, verbose=0)


@pytest.mark.parametrize("weights", [{"p": np.ones(4)}, {"p": np.ones(4), "r": np.ones(4)}])
def test_weights_of_other_outputs_are_named(weights):
    inputs = keras.Input((2,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("p", "q")}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    y = {"p": np.ones((4, 1)), "q": np.ones((4, 1))}
    with pytest.raises(ValueError, match=r"which is {'p': 'array', 'q': 'array'}: received"):
        fit(model, np.ones((4, 2)), y, sample_weight=weights, verbose=0)


def test_no_sample_is_an_error():
    with pytest.raises(ValueError, match="at least one sample: received none"):
        fit(tiny.dense(), np.zeros((0, 6)), np.zeros(0), verbose=0)


def test_no_epoch_is_no_training():
    model = tiny.dense()
    before = tiny.state(model)
    history = fit(model, *tiny.samples(), epochs=2, initial_epoch=2, verbose=0)
    assert history.history == {} and "fused_reason" in history.params
    for now, then in zip(tiny.state(model), before, strict=False):
        np.testing.assert_array_equal(now, then)


def test_a_model_that_is_not_built_yet():
    def unbuilt():
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(tiny.CLASSES, "softmax")]
        return tiny.compile_as_classifier(keras.Sequential(layers), "adam")

    x, y = tiny.samples()
    arguments = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    model, other = unbuilt(), unbuilt()
    history = fit(model, x, y, chunk=3, fused="always", **arguments)
    tiny.assert_same(model, history, other, other.fit(x, y, **arguments), 1e-6)


def test_an_output_without_weights_is_left_to_model_fit():
    inputs = keras.Input((6,))
    heads = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, heads)
    model.compile("sgd", {"a": "mse", "b": "mse"})
    x, y = tiny.samples()
    weights = {"a": np.ones(50), "b": None}
    history = fit(model, x, {"a": y, "b": y}, sample_weight=weights, verbose=0)
    assert history.params["fused_reason"] == "`sample_weight` (dict) is not arrays of numbers"


def test_an_error_of_the_users_own_is_raised_as_it_is():
    x, y = tiny.samples((5,))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 6"):
        fit(tiny.dense(), x, y, verbose=0)


def test_what_cannot_be_fused_is_trained_by_model_fit_and_said(capsys):
    x, y = tiny.samples()
    batches = ((x[i : i + 8], y[i : i + 8]) for i in range(0, 48, 8))
    with pytest.warns(UserWarning, match="ran out of data"):
        history = fit(tiny.dense(), batches, verbose=2)
    assert history.params["fused"] == "plain"
    model, other = tiny.dense(), tiny.dense()
    history = fit(model, x, y, memory_limit=10, epochs=2, verbose=2)
    plain = fit(other, x, y, memory_limit=10, epochs=2, verbose=0)
    tiny.assert_same(model, history, other, plain, 1e-7)
    said = capsys.readouterr().out
    assert said.count("ordinary model.fit: `x` (generator) is not arrays of numbers.") == 1
    assert said.count("ordinary model.fit: the data exceeds memory_limit=10 bytes.") == 1


def test_every_training_says_its_way_once_where_keras_says_its_progress(capsys):
    model = tiny.dense()
    for _ in range(2):
        fit(model, *tiny.samples(), verbose=2)
        assert capsys.readouterr().out.count("Training by fused steps") == 1
    keras.config.disable_interactive_logging()
    try:
        fit(model, *tiny.samples(), verbose=2)
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
