"""Models that tfmot pruned; they are read by what their layers have, so stand-ins serve.

`tests/test_coming_from_tfmot.py` tries the real ones.
"""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_lottery as kl


def weight(name, values):
    values = np.asarray(values, "float32")
    return SimpleNamespace(name=f"{name}:0", numpy=lambda: values)


def layer(name, **weights):
    return SimpleNamespace(
        name=name, weights=[weight(f"{name}/{key}", value) for key, value in weights.items()]
    )


def wrapped(inner, mask):
    """As `PruneLowMagnitude`: its weights have the masks among them."""
    mask = weight("mask", mask)
    return SimpleNamespace(
        name=f"prune_low_magnitude_{inner.name}",
        layer=inner,
        weights=[*inner.weights, mask],
        pruning_vars=[(inner.weights[0], mask, None)],
    )


KERNEL = [[1.0, -2.0], [0.0, 4.0], [5.0, 0.0]]
TABLE = [[0.5, 0.0], [0.0, 0.0], [1.0, 2.0], [0.0, 3.0]]


def network():
    return keras.Sequential(
        [
            keras.Input((2,), dtype="int32"),
            keras.layers.Embedding(4, 2, name="table"),
            keras.layers.Flatten(),
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")], name="inner"),
        ]
    )


def dense_network():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc")])


def dense_layer():
    return layer("fc", kernel=KERNEL, bias=[1, 2])


def model_of(*layers):
    return SimpleNamespace(layers=layers)


def test_the_zeros_of_a_stripped_model_are_its_masks():
    kernel = np.arange(8.0).reshape(4, 2)
    legacy = model_of(
        layer("table", embeddings=TABLE),
        layer("flatten"),
        model_of(layer("fc", kernel=kernel, bias=[7, 8])),
    )
    model = network()
    lottery = kl.import_tfmot(legacy, into=model)
    np.testing.assert_array_equal(lottery.masks["table/embeddings"], np.array(TABLE) != 0)
    assert lottery.alive_counts == {"table/embeddings": 4, "inner/fc/kernel": 7}
    x = np.array([[0, 3]])
    expected = np.concatenate([TABLE[0], TABLE[3]]) @ kernel + [7, 8]
    np.testing.assert_allclose(model.predict(x, verbose=0)[0], expected, rtol=1e-6)


def test_masks_of_wrappers_count_whatever_the_weights_are():
    """The optimizer has moved a pruned weight, and a live one happens to be zero."""
    mask = [[1, 1], [1, 0], [0, 1]]
    lottery = kl.import_tfmot(model_of(wrapped(dense_layer(), mask)), into=dense_network())
    np.testing.assert_array_equal(lottery.masks["fc/kernel"], np.array(mask, bool))
    kernel = keras.ops.convert_to_numpy(lottery.model.layers[0].kernel)
    np.testing.assert_array_equal(kernel, [[1, -2], [0, 0], [0, 0]])


@pytest.mark.parametrize(
    ("legacy", "message"),
    [
        (dense_network(), "Keras 3 model already.*from_zeros"),
        (3, "`model` must be a tf_keras model, received int"),
        (model_of(layer("fc2", kernel=KERNEL, bias=[1, 2])), "no layer 'fc2'.*those of.*are fc"),
        (model_of(), r"no layers for fc/kernel, fc/bias of `into`"),
        (model_of(layer("fc", kernel=KERNEL)), "'fc' has the weights.*cannot be paired"),
        (model_of(layer("fc", kernel=[[1, 2]], bias=[1, 2])), r"\(1, 2\).*cannot be paired"),
    ],
    ids=["keras 3", "no model", "name", "missing", "bias", "shape"],
)
def test_what_has_no_partner_is_named_and_nothing_is_changed(legacy, message):
    model = dense_network()
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
    with pytest.raises(ValueError, match=message):
        kl.import_tfmot(legacy, into=model)
    assert kl.Lottery.on(model) is None
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable))


def test_what_tfmot_pruned_and_the_recipe_leaves_out_is_named():
    legacy = model_of(wrapped(dense_layer(), np.ones((3, 2))))
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, name="fc"), keras.layers.Dense(2, name="fc2")]
    )
    legacy.layers += (layer("fc2", kernel=np.eye(2), bias=[0, 0]),)
    with pytest.raises(ValueError, match="tfmot pruned fc/kernel, and `recipe` leaves them out"):
        kl.import_tfmot(legacy, into=model, recipe=kl.Recipe(exclude="fc/"))


def test_magnitude_is_a_name_of_large_final():
    assert kl.Recipe("magnitude") == kl.Recipe() == kl.Recipe("large_final")
    assert kl.Recipe("magnitude").to_json()["criterion"] == "large_final"
    assert kl.Recipe(otherwise={"fc": "magnitude"}).otherwise[0][1] == kl.Recipe()
    lottery = kl.Lottery(dense_network())
    lottery.prune(0.5, recipe="magnitude")
    lottery.rewire(0.3, grow="magnitude")
    assert lottery.sparsity == 0.5
