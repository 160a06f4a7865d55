"""Functional models: branches, sums, and what is left as it is."""

import keras
import numpy as np
import pytest
from keras import layers
from shrinking import answers, assert_shrinks, randomise, silence

import keras_lottery as kl


def two_branches(join, *, size=4):
    """Two Dense layers of the same input, joined, and an output."""
    given = keras.Input((3,), name="given")
    left = layers.Dense(size, "relu", name="left")(given)
    right = layers.Dense(size, "tanh", name="right")(given)
    outputs = layers.Dense(2, name="output")(join(left, right))
    return randomise(keras.Model(given, outputs), 0)


def joined(layer, *arguments):
    return lambda left, right: layer(*arguments)([left, right])


@pytest.mark.parametrize(
    "join",
    [
        joined(layers.Add),
        joined(layers.Subtract),
        joined(layers.Average),
        joined(layers.Maximum),
        joined(layers.Minimum),
        lambda left, right: left + right,
        lambda left, right: left - right,
    ],
)
def test_a_unit_of_a_sum_goes_where_both_sides_are_dead(join):
    model = two_branches(join)
    silence(model.get_layer("left"), outputs=[0, 1])
    silence(model.get_layer("right"), outputs=[1, 2])
    assert_shrinks(model, left=3, right=3)
    silence(model.get_layer("output"), inputs=[3])
    assert_shrinks(model, left=2, right=2)


@pytest.mark.parametrize(
    "calculate",
    [lambda x: x + 1.0, lambda x: 3 - x, lambda x: x * 0.5, lambda x: x / 2, lambda x: -2 * x],
)
def test_numbers_in_a_calculation(calculate):
    model = two_branches(lambda left, right: calculate(left))
    silence(model.get_layer("left"), outputs=[0, 1])
    assert_shrinks(model, left=2)


@pytest.mark.parametrize("join", [joined(layers.Multiply), lambda left, right: left * right])
def test_a_product_with_zero_is_zero(join):
    model = two_branches(join)
    silence(model.get_layer("left"), outputs=[0, 1])
    model.get_layer("left").bias.assign([-1.0, 1.0, 1.0, 1.0])
    assert_shrinks(model, left=3, right=3)


def test_concatenated_units_are_each_for_itself():
    model = two_branches(joined(layers.Concatenate))
    silence(model.get_layer("left"), outputs=[0])
    silence(model.get_layer("right"), outputs=[1, 2])
    silence(model.get_layer("output"), inputs=[5])  # the second of `right`, which is dead anyway
    assert_shrinks(model, left=3, right=2)


def residual_block(x, index):
    inner = layers.Conv2D(6, 3, padding="same", use_bias=False, name=f"{index}a")(x)
    inner = layers.BatchNormalization(name=f"{index}bn")(inner)
    inner = layers.ReLU()(inner)
    inner = layers.Conv2D(4, 3, padding="same", name=f"{index}b")(inner)
    return layers.ReLU()(layers.Add()([x, inner]))


def residual_network():
    given = keras.Input((5, 5, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(given)
    x = residual_block(residual_block(x, 1), 2)
    outputs = layers.Dense(2, name="output")(layers.GlobalAveragePooling2D()(x))
    return randomise(keras.Model(given, outputs), 0)


def test_a_stream_of_sums_loses_a_channel_in_every_block():
    """Channel 0 is only read by the first block, to add to itself: no output needs it."""
    model = residual_network()
    for name in ("1a", "2a", "output"):
        silence(model.get_layer(name), inputs=[0])
    model.get_layer("1a").kernel.assign(
        keras.ops.convert_to_numpy(model.get_layer("1a").kernel)
        + np.eye(4, 6)[None, None] * (np.arange(4) == 0)[:, None]
    )
    silence(model.get_layer("1b"), inputs=[0])
    kernel = np.array(keras.ops.convert_to_numpy(model.get_layer("1b").kernel))
    kernel[..., 0, 0] = 1
    model.get_layer("1b").kernel.assign(kernel)
    silence(model.get_layer("1a"), outputs=[5])
    small = assert_shrinks(model, stem=3, output=2, **{"1b": 3, "2b": 3, "2a": 6})
    assert small.get_layer("1a").filters == 5  # the first is gone; the dead sixth carries its own


def test_a_branch_without_live_units_keeps_one():
    model = residual_network()
    silence(model.get_layer("1b"), inputs=range(6))
    assert_shrinks(model, stem=4, **{"1a": 1, "1b": 4, "2a": 6})
    expected = "'1a' keeps one unit though none is needed: a layer has at least one."
    assert kl.shrink_report(model).notes == (expected,)


def test_names_and_nesting_of_inputs_and_outputs():
    one, other = keras.Input((3,), name="one"), keras.Input((3,), name="other")
    hidden = layers.Dense(5, "relu", name="fc")(layers.Concatenate()([one, other]))
    outputs = {
        "a": layers.Dense(2, name="first")(hidden),
        "b": layers.Dense(1, name="second")(hidden),
    }
    model = randomise(keras.Model({"one": one, "other": other}, outputs, name="net"), 0)
    silence(model.get_layer("fc"), outputs=[0, 4])
    small = assert_shrinks(model, fc=3, first=2, second=1)
    assert small.name == "net"
    assert [x.name for x in small.inputs] == [x.name for x in model.inputs] == ["one", "other"]
    given = {"one": np.ones((1, 3), "float32"), "other": np.zeros((1, 3), "float32")}
    assert set(small(given)) == {"a", "b"}


def test_an_output_in_the_middle_stays_whole():
    given = keras.Input((3,))
    hidden = layers.Dense(5, "relu", name="fc")(given)
    model = keras.Model(given, [hidden, layers.Dense(2, name="output")(hidden)])
    silence(randomise(model, 0).get_layer("fc"), outputs=[0])
    assert_shrinks(model, fc=5)


def notes(model):
    return list(kl.shrink_report(model).notes)


def left_between(layer, shape=(4,)):
    """A dead unit before a layer that is left as it is, and one after it."""
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Dense(4, "relu", name="before"),
            layer,
            layers.Dense(4, "relu", name="after"),
            layers.Dense(2, name="output"),
        ]
    )
    randomise(model, 0)
    silence(model.get_layer("before"), outputs=[0])
    silence(model.get_layer("after"), outputs=[0])
    return model


@pytest.mark.parametrize(
    "layer, shape, reason",
    [
        (
            lambda: layers.LayerNormalization(name="odd"),
            (4,),
            "LayerNormalization is none of the layers that shrink knows",
        ),
        (
            lambda: layers.Conv1DTranspose(4, 2, name="odd"),
            (5, 4),
            "Conv1DTranspose is none of the layers that shrink knows",
        ),
        (
            lambda: layers.LSTM(4, name="odd"),
            (5, 4),
            "LSTM is none of the layers that shrink knows",
        ),
        (
            lambda: layers.Lambda(lambda x: 2 * x, name="odd"),
            (4,),
            "Lambda is none of the layers that shrink knows",
        ),
        (
            lambda: layers.BatchNormalization(axis=1, name="odd"),
            (5, 4),
            "it normalises axis 1, which is not the last",
        ),
        (
            lambda: layers.Conv1D(4, 2, groups=2, name="odd"),
            (5, 4),
            "it convolves in 2 groups",
        ),
        (
            lambda: layers.Reshape((2, 2), name="odd"),
            (4,),
            "it takes the last axis apart",
        ),
        (
            lambda: layers.Activation(keras.ops.square, name="odd"),
            (4,),
            "its activation 'square' may act on several units together",
        ),
        (
            lambda: layers.Softmax(axis=1, name="odd"),
            (5, 4),
            "it acts along axis 1, which is not the last",
        ),
    ],
)
def test_what_is_left_as_it_is(layer, shape, reason):
    model = left_between(layer(), shape)
    assert_shrinks(model, before=4, after=3)
    assert notes(model) == [f"'odd' is left as it is, because {reason}."]


@pytest.mark.parametrize(
    "layer", [layers.Softmax, lambda **name: layers.Activation("softmax", **name)]
)
def test_softmax_needs_all_units(layer):
    model = left_between(layer(name="odd"))
    assert_shrinks(model, before=4, after=3)
    assert notes(model) == [
        "The units that 'odd' gives all stay, because it acts on all units together."
    ]


def test_models_inside_a_model_shrink_each_for_itself():
    """The inner one is called twice, and a model inside it has no weights at all."""
    inner = keras.Sequential(
        [
            keras.Input((4,)),
            keras.Sequential([keras.Input((4,)), layers.Rescaling(2.0)], name="scale"),
            layers.Dense(5, "relu", name="fc"),
            layers.Dense(4, "relu", name="last"),
        ],
        name="inner",
    )
    given = keras.Input((3,))
    hidden = inner(inner(layers.Dense(4, name="before")(given)))
    model = randomise(keras.Model(given, layers.Dense(2, name="output")(hidden)), 0)
    silence(inner.get_layer("fc"), outputs=[1, 2])
    silence(inner.get_layer("last"), outputs=[0])
    silence(model.get_layer("before"), outputs=[0])
    small = assert_shrinks(model, before=4, output=2)
    assert small.get_layer("inner").get_layer("fc").units == 3
    report = kl.shrink_report(model)
    assert report.units["inner/fc"] == (5, 3) and report.units["inner/last"] == (4, 4)
    assert report.multiplications == (12 + 2 * (20 + 20) + 8, 12 + 2 * (12 + 12) + 8)
    assert notes(model) == [
        f"The units that {name!r} takes and gives all stay, because it is a model of its own."
        for name in ("inner", "inner/scale")
    ]


def test_a_layer_that_is_called_twice_is_left():
    given = keras.Input((3,))
    shared, relu = layers.Dense(3, name="shared"), layers.ReLU(name="relu")
    hidden = relu(shared(relu(shared(layers.Dense(3, name="fc")(given)))))
    model = randomise(keras.Model(given, layers.Dense(2, name="output")(hidden)), 0)
    silence(model.get_layer("fc"), outputs=[0])
    assert_shrinks(model, fc=3)
    assert notes(model) == ["'shared' is left as it is, because it is called 2 times."]


def test_a_call_with_further_arguments_is_left():
    given = keras.Input((3,))
    hidden = layers.Dense(3, name="fc")(given)
    hidden = layers.BatchNormalization(name="bn")(hidden, training=True)
    model = randomise(keras.Model(given, layers.Dense(2)(hidden)), 0)
    silence(model.get_layer("fc"), outputs=[0])
    assert kl.shrink(model).get_layer("fc").units == 3
    expected = "'bn' is left as it is, because it is called with more arguments than its inputs."
    assert notes(model)[0] == expected


def test_lora_is_left():
    model = left_between(layers.Dropout(0.1))
    model.get_layer("before").enable_lora(2)
    assert_shrinks(model, after=3)
    assert notes(model) == ["'before' is left as it is, because LoRA is enabled in it."]


def test_layers_with_variables_of_their_own_come_over():
    """`Normalization` computes with constants that it made of its variables."""
    model = left_between(layers.Normalization(name="odd"))
    model.get_layer("odd").adapt(np.random.default_rng(0).normal(3, 2, size=(50, 4)))
    np.testing.assert_allclose(answers(kl.shrink(model)), answers(model), rtol=0, atol=1e-4)


class Unknown(layers.Layer):
    """A layer that Keras cannot make anew."""

    def __init__(self, needed, **arguments):
        super().__init__(**arguments)

    def call(self, x):
        return x

    def get_config(self):
        return {"name": self.name}


def test_a_layer_that_cannot_be_copied_is_named():
    model = left_between(Unknown(1, name="odd"))
    with pytest.raises(ValueError, match=r"Keras cannot copy the layer 'odd' \(Unknown\)"):
        kl.shrink(model)
