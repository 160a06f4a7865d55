"""What could be pruned in a model and is left dense is named once, with the cure."""

import warnings

import keras
import pytest

from keras_lottery.core import schedules
from keras_lottery.core.recipe import Recipe
from keras_lottery.masks import left_out
from keras_lottery.masks.lottery import Lottery
from keras_lottery.search.prune import Prune


class Projection(keras.layers.Layer):
    """A layer of a user's own, whose weight no rule knows."""

    def build(self, shape):
        """Beside it: a vector, a table of positions, and a row that is one in truth."""
        self.projection = self.add_weight(shape=(shape[-1], 5), name="projection")
        self.scale = self.add_weight(shape=(5,), name="scale")
        self.positions = self.add_weight(shape=(3, 5), name="position_embedding")
        self.token = self.add_weight(shape=(1, 1, 5), name="token")
        self.fixed = self.add_weight(shape=(5, 5), name="fixed", trainable=False)

    def call(self, inputs):
        """Project and scale."""
        return keras.ops.matmul(inputs, self.projection) * self.scale


def own_layer():
    return keras.Sequential(
        [keras.Input((4,)), Projection(name="own"), keras.layers.Dense(2, name="fc")]
    )


def transfer(frozen=("body/conv", "body/pointwise")):
    """A backbone of convolutions, its layers frozen or not, and a head."""
    body = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.DepthwiseConv2D(2, name="depthwise"),
            keras.layers.Conv2D(3, 1, name="pointwise"),
            keras.layers.GlobalAveragePooling2D(),
        ],
        name="body",
    )
    for layer in body.layers:
        layer.trainable = f"body/{layer.name}" not in frozen
    return keras.Sequential([keras.Input((6, 6, 2)), body, keras.layers.Dense(2, name="head")])


def said(action):
    """The warnings of the package that an action makes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(one.message) for one in caught if one.category is UserWarning]


def test_a_weight_that_no_rule_knows():
    (message,) = said(lambda: Lottery(own_layer()))
    assert "left dense, as no rule knows their names: 'own/projection' (20 weights)" in message
    assert "`include=lambda name, shape: ...`" in message
    assert (
        said(lambda: Lottery(own_layer(), Recipe(exclude=lambda name, shape: "own" in name))) == []
    )
    assert said(lambda: Lottery(own_layer(), Recipe(include="fc"))) == []
    chosen = []
    both = lambda name, shape: name in ("own/projection", "fc/kernel")  # noqa: E731
    assert said(lambda: chosen.append(Lottery(own_layer(), Recipe(include=both)))) == []
    assert chosen[0].names == ["own/projection", "fc/kernel"]


def test_a_frozen_backbone():
    made = []
    (message,) = said(lambda: made.append(Lottery(transfer())))
    assert (
        "Frozen kernels are left dense: 'body/conv/kernel', 'body/pointwise/kernel' (84 " in message
    )
    assert "in `include`" in message
    assert made[0].names == ["head/kernel"]
    made[0].prune(0.5)
    assert said(lambda: Lottery(transfer(), Recipe(exclude="body"))) == []
    lottery = Lottery(transfer(), Recipe(include="conv|head"))
    assert lottery.names == ["body/conv/kernel", "head/kernel"]


def test_a_part_that_is_frozen():
    (message,) = said(lambda: Lottery(transfer(frozen=["body/conv"])))
    assert "'body/conv/kernel' (72 weights)" in message


def test_a_backbone_frozen_as_one():
    model = transfer(frozen=())
    model.layers[0].trainable = False
    (message,) = said(lambda: Lottery(model))
    assert "'body/conv/kernel', 'body/pointwise/kernel'" in message


@pytest.mark.parametrize("scope", ["layerwise", "globally"])
def test_a_model_that_is_wholly_frozen_is_pruned(scope):
    """It was given on purpose: to be shipped, or taken for a ticket."""
    model = transfer(frozen=())
    model.trainable = False
    lottery = Lottery(model)  # a warning would be an error
    assert lottery.names == ["body/conv/kernel", "body/pointwise/kernel", "head/kernel"]
    lottery.prune(0.5, recipe=Recipe(scope=scope))
    assert lottery.sparsity == pytest.approx(0.5, abs=0.01)
    lottery.check()


def test_depthwise_kernels():
    """Left alone without a word; pruned where they are named, or where there are no others."""
    model = transfer(frozen=())
    lottery = Lottery(model)
    assert "body/depthwise/kernel" not in lottery.names
    lottery.detach()
    assert Lottery(model, Recipe(include="depthwise")).names == ["body/depthwise/kernel"]
    alone = keras.Sequential(
        [keras.Input((6, 2)), keras.layers.DepthwiseConv1D(3, name="only")], name="alone"
    )
    assert Lottery(alone).names == ["only/kernel"]
    separable = keras.Sequential(
        [keras.Input((6, 2)), keras.layers.SeparableConv1D(4, 3, name="both")], name="separable"
    )
    assert Lottery(separable).names == ["both/pointwise_kernel"]


def test_prune_says_it_once_in_fits_in_a_row():
    import numpy as np

    model = transfer()
    model.compile("sgd", "mse")
    prune = Prune(schedules.constant(0.5))
    data = np.ones((4, 6, 6, 2)), np.ones((4, 2))
    assert len(said(lambda: model.fit(*data, verbose=0, callbacks=[prune]))) == 1
    again = {"initial_epoch": 1, "epochs": 2, "verbose": 0}
    assert said(lambda: model.fit(*data, callbacks=[prune], **again)) == []
    assert not np.any(prune.lottery.model.layers[0].layers[0].kernel.numpy() == 0)


def test_many_names_are_counted():
    layers = [keras.layers.Dense(2, name=f"fc{number}") for number in range(12)]
    model = keras.Sequential([keras.Input((2,)), *layers])
    for layer in layers[:11]:
        layer.trainable = False
    (message,) = said(lambda: Lottery(model))
    assert "'fc7/kernel' and 3 more (44 weights)" in message
    assert "fc8" not in message


def test_reasons():
    model = transfer(frozen=["body/conv"])
    assert left_out.reasons(model, ["head/kernel"]) == {
        "body/conv/kernel": ("frozen", 72),
        "body/depthwise/kernel": ("depthwise", 16),
        "body/pointwise/kernel": ("excluded", 12),
    }
    assert left_out.reasons(own_layer(), ["fc/kernel"]) == {
        "own/projection": ("no rule knows its name", 20)
    }


def test_changes_between_fits():
    model = transfer()
    masked = ["head/kernel"]
    assert said(lambda: left_out.warn_of_changes(model, masked, None, None)) == []
    model.layers[0].layers[0].trainable = True
    (message,) = said(lambda: left_out.warn_of_changes(model, masked, None, None))
    assert "'body/conv/kernel' (72 weights) became trainable" in message
    assert said(lambda: left_out.warn_of_changes(model, masked, None, "body")) == []
    assert said(lambda: left_out.warn_of_changes(model, masked, "head", None)) == []
    both = ["body/conv/kernel", "head/kernel"]
    model.layers[1].trainable = False
    (message,) = said(lambda: left_out.warn_of_changes(model, both, None, None))
    assert "'head/kernel' (6 weights) were frozen since" in message
    # Named on purpose, or all of it frozen: nothing is taken back.
    assert said(lambda: left_out.warn_of_changes(model, both, "conv|head", None)) == []
    model.trainable = False
    assert said(lambda: left_out.warn_of_changes(model, both, None, None)) == []
