"""What XNNPACK computes wrongly channels first; each was measured in LiteRT.js, see the module."""

import keras
import numpy as np
import pytest
import sample_files

from export import stock
from keras_lottery.exporters.tflite import inspection


def network(middle=None, last=None):
    """Two halves that meet every condition of the sparse stretch, with something between."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = x = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, name="stem")(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(16, 1, name="first")(layers.ReLU()(x))
    x = layers.ReLU()(x)
    if middle is not None:
        x = middle(x)
    x = layers.Conv2D(16, 1, name="second")(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x) if last is None else last(x)
    return keras.Model(image, x)


def inspected(model, sparsity=0.9):
    return inspection.read(stock.convert(sample_files.pruned(model, sparsity), "float32"))


def scaled(x):
    return x * keras.ops.mean(x, axis=(1, 2), keepdims=True)


def shifted(x):
    return x + np.linspace(0.1, 1, 16, dtype="float32")


@pytest.mark.parametrize(
    ("middle", "last", "taken", "cause"),
    [
        (scaled, None, True, "MUL of a feature map and a number for each channel"),
        (shifted, None, False, "ADD reads it channels last"),
        (keras.layers.MaxPooling2D(2), None, False, "MAX_POOL_2D reads it channels last"),
        (None, lambda x: keras.ops.mean(x, axis=1), True, "MEAN over one of height and width"),
        pytest.param(
            None,
            lambda x: keras.ops.sum(x, axis=2),
            True,
            "SUM over one of height and width",
            marks=pytest.mark.long,
        ),
    ],
)
def test_what_comes_out_wrong_is_a_defect(middle, last, taken, cause):
    found = inspected(network(middle, last))
    assert found.sparse_path.taken == taken
    assert cause in found.defects[0].cause
    assert found.defects[0].effects["LiteRT.js"] == "silently wrong"


@pytest.mark.parametrize(
    ("middle", "last"),
    [
        (None, None),
        (lambda x: x * keras.ops.mean(x, axis=3, keepdims=True), None),
        (lambda x: x + keras.ops.relu6(x), None),
        (None, lambda x: keras.ops.mean(x, axis=3)),
        (None, lambda x: keras.ops.sum(x, axis=(1, 2))),
        (None, lambda x: keras.ops.mean(x, axis=(1, 2), keepdims=True)),
    ],
)
def test_what_comes_out_right_is_none(middle, last):
    found = inspected(network(middle, last))
    assert found.sparse_path.taken
    assert found.defects == ()


def test_nothing_is_torn_where_xnnpack_computes_densely():
    assert inspected(network(shifted), sparsity=0.5).defects == ()
