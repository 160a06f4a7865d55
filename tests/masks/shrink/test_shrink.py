"""The same answers without dead units: chains of Dense layers, and the doors."""

import keras
import numpy as np
import pytest
from keras import layers
from shrinking import answers, assert_shrinks, randomise, silence

import keras_lottery as kl


def values(variable):
    return keras.ops.convert_to_numpy(variable).tolist()


def two_layers(**arguments):
    """Two inputs, three units, one output, without a pruned weight."""
    model = keras.Sequential(
        [
            keras.Input((2,), name="given"),
            layers.Dense(3, "relu", name="fc1"),
            layers.Dense(1, name="output", **arguments),
        ],
        name="net",
    )
    model.get_layer("fc1").set_weights([np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([1.0, 2, -3])])
    output = model.get_layer("output")
    output.set_weights([np.array([[7.0], [8], [9]]), np.array([10.0])][: len(output.weights)])
    return model


def test_nothing_is_dead():
    model = two_layers()
    small = assert_shrinks(model, tolerance=0, fc1=3, output=1)
    assert small is not model
    assert not any(a is b for a, b in zip(small.layers, model.layers, strict=True))


def test_the_constant_of_a_unit_without_inputs_moves_into_the_next_bias():
    model = two_layers()
    silence(model.get_layer("fc1"), outputs=[1])
    small = assert_shrinks(model, fc1=2, output=1)
    assert values(small.get_layer("fc1").kernel) == [[1, 3], [4, 6]]
    assert values(small.get_layer("fc1").bias) == [1, -3]
    assert values(small.get_layer("output").kernel) == [[7], [9]]
    assert values(small.get_layer("output").bias) == [10 + 2 * 8]


def test_a_constant_below_zero_ends_at_the_relu():
    model = two_layers()
    silence(model.get_layer("fc1"), outputs=[2])
    small = assert_shrinks(model, fc1=2)
    assert values(small.get_layer("output").bias) == [10]


def test_a_unit_that_nothing_reads_goes_with_its_inputs():
    model = two_layers()
    silence(model.get_layer("output"), inputs=[0])
    small = assert_shrinks(model, fc1=2, output=1)
    assert values(small.get_layer("fc1").kernel) == [[2, 3], [5, 6]]
    assert values(small.get_layer("output").bias) == [10]


def test_a_layer_without_bias_gets_one_where_a_constant_moves():
    model = two_layers(use_bias=False)
    silence(model.get_layer("fc1"), outputs=[2])
    assert not assert_shrinks(model, fc1=2).get_layer("output").use_bias
    silence(model.get_layer("fc1"), outputs=[1])
    small = assert_shrinks(model, fc1=1)
    assert values(small.get_layer("output").bias) == [2 * 8]


def test_dead_units_make_others_dead():
    """fc2's first unit has no live input but the dead first of fc1; the last of fc1 only leads to
    fc2's last, which nothing reads."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, "relu", name="fc1"),
            layers.Dense(3, "tanh", name="fc2"),
            layers.Dense(1, name="output"),
        ]
    )
    randomise(model, 0)
    fc1, fc2, output = model.layers
    silence(fc1, outputs=[0])
    fc2.kernel.assign([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    silence(output, inputs=[2])
    assert_shrinks(model, fc1=1, fc2=1, output=1)


def test_constants_go_through_what_is_between():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, name="fc1"),
            layers.BatchNormalization(name="bn"),
            layers.LeakyReLU(),
            layers.Dropout(0.5),
            layers.PReLU(),
            layers.Rescaling(2.0, offset=0.5),
            layers.Activation("gelu"),
            layers.GaussianNoise(0.1),
            layers.Dense(3, "softmax", name="output"),
        ]
    )
    silence(randomise(model, 0).layers[0], outputs=[1, 4])
    small = assert_shrinks(model, fc1=6, output=3)
    kept = [0, 2, 3, 5, 6, 7]
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        before, after = (getattr(one.get_layer("bn"), name) for one in (model, small))
        assert values(after) == np.array(values(before))[kept].tolist()


def test_what_normalisation_scales_by_zero_is_constant():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4, name="fc1"),
            layers.BatchNormalization(),
            layers.Dense(2, name="output"),
        ]
    )
    randomise(model, 0).layers[1].gamma.assign([1, 0, 1, 0])
    assert_shrinks(model, fc1=2)


def test_the_model_stays_and_the_new_one_is_plain(make_model, data):
    model = make_model("adam")
    lottery = kl.Lottery(model, kl.Recipe(exclude="output", granularity=kl.granularity.units()))
    lottery.prune(0.5)
    model.fit(*data, verbose=0)
    before = [values(variable) for variable in model.variables]
    small = assert_shrinks(model, fc1=4, output=4)
    assert [values(variable) for variable in model.variables] == before
    assert kl.Lottery.on(model) is lottery and model.compiled
    assert kl.Lottery.on(small) is None and not small.compiled
    assert small.name == model.name
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert all(variable.constraint is None for variable in small.variables)
    small.compile("sgd", "categorical_crossentropy")
    small.fit(*data, verbose=0)
    assert_shrinks(kl.strip(model), fc1=4)


def test_configurations_come_over():
    model = two_layers()
    fc1 = model.get_layer("fc1")
    fc1.activation = lambda x: keras.ops.maximum(x, 0.5)
    fc1.kernel_regularizer = keras.regularizers.L2(0.1)
    fc1.trainable = False
    silence(model.get_layer("output"), inputs=[0])
    with pytest.raises(AssertionError):  # an activation of the user's own: all units stay
        assert_shrinks(model, fc1=2)
    small = kl.shrink(model).get_layer("fc1")
    assert small.activation is fc1.activation and small.kernel_regularizer.l2 == 0.1
    assert not small.trainable
    assert [v.name for v in kl.shrink(model).layers[0].weights] == ["kernel", "bias"]
    assert "may act on several units together" in kl.shrink_report(model).notes[0]


def test_types_come_over():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", name="fc1", dtype="mixed_bfloat16"),
            layers.Dense(2, name="output", dtype="bfloat16"),
        ]
    )
    silence(randomise(model, 0.3).layers[0], outputs=[1])
    small = assert_shrinks(model, tolerance=0.02, fc1=5)
    assert [layer.dtype_policy.name for layer in small.layers] == ["mixed_bfloat16", "bfloat16"]
    assert small.layers[1].kernel.dtype == "bfloat16"


def test_dense_over_positions():
    model = keras.Sequential(
        [keras.Input((5, 3)), layers.Dense(4, "relu", name="a"), layers.Dense(2, name="output")]
    )
    silence(randomise(model, 0).layers[0], outputs=[0])
    assert_shrinks(model, a=3)


def test_masks_that_do_not_hold_are_an_error(make_model):
    model = make_model()
    kl.Lottery(model).prune(0.5)
    model.get_layer("output").kernel.assign(np.ones((8, 4)))
    for door in (kl.shrink, kl.shrink_report):
        with pytest.raises(kl.MaskError, match="'output/kernel': 16 of 16 pruned weights"):
            door(model)


def test_a_model_that_answers_the_same_to_everything_is_an_error():
    model = two_layers()
    silence(model.get_layer("fc1"), outputs=[0, 1, 2])
    before = answers(model)
    with pytest.raises(ValueError, match=r"No unit of 'fc1' is alive, so that `model` 'net' has"):
        kl.shrink(model)
    np.testing.assert_array_equal(answers(model), before)


def test_what_has_no_graph_is_an_error():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc = layers.Dense(2)

        def call(self, x):
            return self.fc(x)

    model = Own()
    model(np.ones((1, 3)))
    for wrong in (model, "model.keras"):
        with pytest.raises(ValueError, match=r"`model` must be a built keras\.Sequential"):
            kl.shrink(wrong)
    with pytest.raises(ValueError, match="has no variables yet: build it"):
        kl.shrink(keras.Sequential([layers.Dense(2)]))


def test_a_report_in_words_and_numbers():
    model = two_layers()
    silence(model.get_layer("fc1"), outputs=[1])
    report = kl.shrink_report(model)
    assert report == kl.ShrinkReport(
        units={"fc1": (3, 2), "output": (1, 1)},
        weights=(13, 9),
        multiplications=(9, 6),
        notes=(),
    )
