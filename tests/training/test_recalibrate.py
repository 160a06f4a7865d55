"""Statistics of normalisation are those of the samples; nothing else changes."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from keras_lottery.training.recalibrate import recalibrate

X = np.random.default_rng(0).normal(3, 2, size=(50, 4)).astype("float32")


def network(**arguments):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="fc"),
            keras.layers.Dropout(0.5),
            keras.layers.BatchNormalization(name="bn", **arguments),
            keras.layers.Dense(2, name="output"),
        ]
    )


def values(model):
    return {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in model.variables}


def statistics(model):
    bn = model.get_layer("bn")
    return [keras.ops.convert_to_numpy(v) for v in (bn.moving_mean, bn.moving_variance)]


def activations(model, x):
    """What its normalisation sees in inference."""
    fc = model.get_layer("fc")
    return x @ keras.ops.convert_to_numpy(fc.kernel) + keras.ops.convert_to_numpy(fc.bias)


def batched(x):
    return [(x[:20], None), (x[20:], None)]


@pytest.mark.parametrize(
    "data",
    [X, (X, np.zeros(50)), [X], [(X, np.zeros(50))], iter([X])],
    ids=["array", "pair", "batches of samples", "batches of pairs", "generator"],
)
def test_the_statistics_are_those_of_the_samples(data):
    model = network()
    before = values(model)
    recalibrate(model, data, batch_size=50)
    seen = activations(model, X)
    assert_allclose(statistics(model)[0], seen.mean(0), rtol=1e-5)
    assert_allclose(statistics(model)[1], seen.var(0), rtol=1e-5)
    changed = [path for path, value in values(model).items() if np.any(value != before[path])]
    assert all("moving" in path for path in changed) and len(changed) == 2
    assert model.get_layer("bn").momentum == 0.99


def test_batches_count_by_their_samples():
    model = network()
    recalibrate(model, batched(X))
    seen = activations(model, X)
    assert_allclose(statistics(model)[0], seen.mean(0), rtol=1e-5)
    variance = (20 * seen[:20].var(0) + 30 * seen[20:].var(0)) / 50
    assert_allclose(statistics(model)[1], variance, rtol=1e-5)


def test_what_was_known_before_does_not_count():
    model, other = network(), network()
    other.get_layer("bn").moving_mean.assign([5.0, 6.0, 7.0])
    for one in (model, other):
        recalibrate(one, X, batch_size=16)
    assert_array_equal(statistics(model), statistics(other))


def test_a_frozen_layer_is_renewed_and_stays_frozen():
    model, frozen = network(), network()
    frozen.trainable = False
    frozen.get_layer("output").trainable = True
    trained = [v.path for v in frozen.trainable_variables]
    for one in (model, frozen):
        recalibrate(one, X)
    assert_array_equal(statistics(model), statistics(frozen))
    assert [v.path for v in frozen.trainable_variables] == trained


def test_layers_inside_models_and_inputs_by_name():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    inner = network()
    model = keras.Model(inputs, inner(keras.layers.Add()(list(inputs.values()))))
    recalibrate(model, {"a": X, "b": X}, batch_size=50)
    assert_allclose(statistics(inner)[0], activations(inner, 2 * X).mean(0), rtol=1e-5)


def test_a_model_that_takes_a_list():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    inner = network()
    model = keras.Model(inputs, inner(keras.layers.Add()(inputs)))
    recalibrate(model, [X, X], batch_size=50)
    assert_allclose(statistics(inner)[0], activations(inner, 2 * X).mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    "data, message",
    [
        ([], "`data` has no samples"),
        (X[:0], "`data` has no samples"),
        (3, "`data` must be arrays or an iterable of batches, received int"),
    ],
)
def test_data_that_is_none(data, message):
    model = network()
    with pytest.raises(ValueError, match=message):
        recalibrate(model, data)
    assert_array_equal(statistics(model), [np.zeros(3), np.ones(3)])


def test_after_an_error_the_statistics_are_as_they_were():
    model = network()
    with pytest.raises(Exception, match="incompatible"):
        recalibrate(model, [X, X[:, :3]])
    assert_array_equal(statistics(model), [np.zeros(3), np.ones(3)])
    assert "call" not in vars(model.get_layer("bn"))


def test_other_errors():
    with pytest.raises(ValueError, match="has no BatchNormalization"):
        recalibrate(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), X)
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer, received 0"):
        recalibrate(network(), X, batch_size=0)
