"""Names of variables, what is a kernel, and models rebuilt elsewhere."""

import keras
import numpy as np
import pytest

from keras_lottery.model import variables


class Custom(keras.layers.Layer):
    """A layer of one's own, with weights that are not called a kernel."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 3), name="w")
        self.gamma = self.add_weight(shape=(2, 3), name="gamma")
        self.table = self.add_weight(
            shape=(2, 2), dtype="int32", initializer="zeros", name="kernel"
        )

    def call(self, inputs):
        return inputs @ self.w


def nested():
    """A layer twice in a model, in a model that has a layer of the same name itself."""
    inner_input = keras.Input((4,))
    shared = keras.layers.Dense(4, name="fc")
    inner = keras.Model(inner_input, shared(shared(inner_input)), name="inner")
    inner.compile("sgd", "mse", metrics=["mae"])
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(2, name="fc")(inner(inputs))
    model = keras.Model(inputs, outputs, name="outer")
    model.compile("adam", "mse", metrics=["mae"])
    return model, inner


def test_names_are_unique_and_leave_out_metrics():
    model, inner = nested()
    inner.train_on_batch(np.ones((2, 4)), np.ones((2, 4)))
    model.train_on_batch(np.ones((2, 4)), np.ones((2, 2)))
    named = variables.named(model)
    assert len(named) == 4  # the shared layer once; no optimizer, no metric of either model
    assert [name.rpartition("/")[2].partition("#")[0] for name in named] == ["kernel", "bias"] * 2
    assert {id(v) for v in named.values()} == {id(v) for v in model.weights}


def test_names_do_not_hold_the_models_own():
    """However a model is built, and whatever Keras calls it."""
    found = []
    for _ in range(2):
        early = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc")])
        late = keras.Sequential([keras.layers.Dense(3, name="fc")])
        late.build((None, 4))
        found += [list(variables.named(early)), list(variables.named(late))]
    assert found == [["fc/kernel", "fc/bias"]] * 4


def test_everything_that_a_rewind_must_restore_has_a_name():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=1)]
    )
    last = [name.rpartition("/")[2] for name in variables.named(model)]
    assert last[:4] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert "seed" in last[4]


@pytest.mark.parametrize(
    "layer, shape, expected",
    [
        (keras.layers.Dense(2), (3,), ["kernel"]),
        (keras.layers.Conv1D(2, 2), (3, 3), ["kernel"]),
        (keras.layers.Conv2D(2, 2), (3, 3, 3), ["kernel"]),
        (keras.layers.Conv2DTranspose(2, 2), (3, 3, 3), ["kernel"]),
        (keras.layers.DepthwiseConv2D(2), (3, 3, 3), ["kernel"]),
        (keras.layers.SeparableConv2D(2, 2), (3, 3, 3), ["pointwise_kernel"]),
        (keras.layers.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"), (3, 3), ["kernel"]),
        (keras.layers.Embedding(5, 2), (3,), ["embeddings"]),
        (keras.layers.LSTM(2), (3, 3), ["kernel", "recurrent_kernel"]),
        (keras.layers.GRU(2), (3, 3), ["kernel", "recurrent_kernel"]),  # its bias is of rank 2
        (
            keras.layers.Bidirectional(keras.layers.GRU(2)),
            (3, 3),
            ["kernel", "recurrent_kernel"] * 2,
        ),
        (keras.layers.ConvLSTM1D(2, 2), (3, 3, 3), ["kernel", "recurrent_kernel"]),
        (keras.layers.SpectralNormalization(keras.layers.Dense(2)), (3,), ["kernel"]),
    ],
)
def test_kernels_and_their_initializers(layer, shape, expected):
    model = keras.Sequential([keras.Input(shape), layer])
    kernels = variables.prunable(model)
    assert [name.rpartition("/")[2] for name in kernels] == expected
    for kernel in kernels.values():
        draw = variables.initializer(model, kernel)
        first, again, other = (draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first.shape == kernel.shape
        assert first.dtype == kernel.dtype
        np.testing.assert_array_equal(first, again)
        assert np.any(first != other)


def test_attention_has_four_kernels_and_no_bias():
    inputs = keras.Input((3, 4))
    outputs = keras.layers.MultiHeadAttention(2, 2)(inputs, inputs)
    model = keras.Model(inputs, keras.layers.LayerNormalization(axis=(1, 2))(outputs))
    assert len(variables.prunable(model)) == 4
    # A predicate is not asked about biases and normalisation, whatever their rank.
    assert len(variables.prunable(model, include=lambda name, shape: True)) == 4


def test_frozen_layers_are_kernels_too():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, trainable=False)])
    assert len(variables.prunable(model)) == 1


def test_choosing_kernels():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, name="fc1"),
            Custom(name="custom"),
            keras.layers.Dense(2, name="output"),
        ]
    )

    def chosen(**selectors):
        return list(variables.prunable(model, **selectors))

    assert chosen() == ["fc1/kernel", "output/kernel"]
    assert chosen(include="^fc") == ["fc1/kernel"]
    assert chosen(exclude="output") == ["fc1/kernel"]
    assert chosen(include=lambda name, shape: shape[-1] == 3) == ["custom/w"]
    assert chosen(exclude=lambda name, shape: shape[0] == 4) == ["output/kernel"]
    for selectors in (
        {"include": "w"},
        {"exclude": "kernel"},
        {"include": lambda *_: False},
        {"exclude": "outptu"},
    ):
        with pytest.raises(ValueError, match=r"^Nothing matched: .*fc1/kernel, output/kernel"):
            chosen(**selectors)
    # What is not included anyway may be excluded once more.
    assert chosen(include="^fc", exclude="output") == ["fc1/kernel"]
    assert chosen(exclude=lambda name, shape: False) == ["fc1/kernel", "output/kernel"]
    for argument in ("include", "exclude"):
        with pytest.raises(ValueError, match=rf"`{argument}` has '\(', which is no regular"):
            chosen(**{argument: "("})
    with pytest.raises(ValueError, match=r"must be a regular expression or a function.*received 3"):
        chosen(include=3)


@pytest.mark.parametrize(
    "model, message",
    [
        (keras.Sequential([keras.layers.Dense(3)]), "has no variables yet: build it"),
        (keras.layers.Dense(3), "`model` must be a keras.Model, received Dense"),
        (keras.Sequential([keras.Input((4,)), keras.layers.Flatten()]), "has no variables"),
    ],
)
def test_what_has_no_kernels(model, message):
    with pytest.raises(ValueError, match=message):
        variables.prunable(model)


def test_values_of_ones_own():
    names = ["conv1/kernel", "conv2/kernel", "output/kernel"]
    assert variables.overridden({"conv": 0.1, "conv2": 0.3}, names) == {
        "conv1/kernel": 0.1,
        "conv2/kernel": 0.3,
    }
    assert variables.overridden(None, names) == {}
    with pytest.raises(ValueError, match="Nothing matched: `overrides` has the pattern 'fc'"):
        variables.overridden({"fc": 0.1}, names)
    with pytest.raises(ValueError, match=r"`overrides` has 'conv\[', which is no regular"):
        variables.overridden({"conv[": 0.1}, names)


def test_a_model_built_again_is_matched_in_the_order_of_its_layers():
    def build():
        return keras.Sequential(
            [keras.Input((4,)), *(keras.layers.Dense(4) for _ in range(3)), keras.layers.Dense(2)]
        )

    first, again = variables.named(build()), build()
    assert not set(first) & set(variables.named(again))
    shapes = {name: tuple(variable.shape) for name, variable in first.items()}
    names = variables.names_in(shapes, again)
    assert list(names.items()) == list(zip(first, variables.named(again), strict=True))


@pytest.mark.parametrize(
    "shapes, message",
    [
        (
            {"fc/kernel": (4, 3), "fc/bias": (3,)},
            r"'fc/kernel' of shape \(4, 3\) is stored where.*'fc/kernel' of shape \(4, 2\)",
        ),
        ({"fc1/kernel": (4, 2), "fc/bias": (2,)}, "'fc1/kernel' of shape"),
        ({"fc/kernel": (4, 2)}, "1 variables are stored and the model .* has 2"),
    ],
)
def test_another_architecture(shapes, message):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
    with pytest.raises(ValueError, match=f"The architectures differ: .*{message}"):
        variables.names_in(shapes, model)


def test_a_layer_without_an_initializer_says_so():
    model = keras.Sequential([keras.Input((4,)), Custom(name="custom")])
    draw = variables.initializer(model, model.layers[0].w)
    with pytest.raises(ValueError, match=r"has an attribute `w_initializer` for '.*custom/w'"):
        draw(np.random.default_rng(0))
