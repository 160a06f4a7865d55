"""A plain Keras model out of a pruned one."""

import keras
import numpy as np
import pytest

import keras_lottery as kl


def test_the_same_model_plain_again(make_model, data, tmp_path):
    model = make_model("adam")
    kl.Lottery(model).prune(0.5)
    model.fit(*data, verbose=0)
    predictions = model.predict(data[0], verbose=0)
    assert kl.strip(model) is model
    assert kl.Lottery.on(model) is None
    assert all(variable.constraint is None for variable in model.variables)
    np.testing.assert_array_equal(model.predict(data[0], verbose=0), predictions)
    assert np.mean(keras.ops.convert_to_numpy(model.get_layer("fc1").kernel) == 0) == 0.5
    model.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(loaded.predict(data[0], verbose=0), predictions)
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations)


def test_a_stripped_model_trains_densely(make_model, data):
    model = make_model()
    kl.Lottery(model).prune(0.5)
    model.fit(*data, verbose=0)
    kl.strip(model).fit(*data, verbose=0)
    assert keras.ops.convert_to_numpy(model.get_layer("fc1").kernel).all()


def test_stripping_twice_is_harmless_while_the_zeros_are_there(make_model, data):
    model = make_model()
    kl.Lottery(model).prune(0.5)
    kl.strip(model)
    assert kl.strip(model, at_least=0.5) is model
    with pytest.raises(ValueError, match=r"sparsity of 0\.5, less than `at_least=0.8`"):
        kl.strip(model, at_least=0.8)
    model.fit(*data, verbose=0)
    with pytest.raises(ValueError, match="no masks to strip: it was stripped before, and trained"):
        kl.strip(model)


def test_masks_that_went_with_their_kernels(make_model):
    model = make_model()
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    for name in ("fc1", "output"):
        model.get_layer(name).quantize("int8")
    with pytest.raises(kl.MaskError, match=r"no longer has the kernels .* `quantize`"):
        kl.strip(model)


def test_what_cannot_be_stripped(make_model):
    model = make_model()
    with pytest.raises(ValueError, match="has no masks to strip"):
        kl.strip(model)
    kl.Lottery(model).prune(0.5)
    model.get_layer("output").kernel.assign(np.ones((8, 4)))
    with pytest.raises(kl.MaskError, match="'output/kernel': 16 of 16 pruned weights"):
        kl.strip(model)
    assert kl.Lottery.on(model) is not None  # still there, to be looked at


@pytest.mark.parametrize("asked", [0.0, 0.3, 0.5, 0.55, 0.8, 1.0])
@pytest.mark.parametrize("scope", ["layerwise", "globally"])
def test_a_model_as_sparse_as_it_was_asked_to_be(make_model, asked, scope):
    """Targets are rounded to whole weights, in each kernel: 0.55 of 48 and of 32 are 26 and 18."""
    model = make_model()
    kl.Lottery(model).prune(asked, recipe=kl.Recipe(scope=scope))
    assert kl.strip(model, at_least=asked) is model


def test_a_denser_model_is_refused(make_model):
    model = make_model()
    kl.Lottery(model, kl.Recipe(include="fc1")).prune(0.5)
    expected = (
        r"sparsity of 0.5, less than `at_least=0.8`: fc1/kernel 0.5\..*before the last pruning"
    )
    with pytest.raises(ValueError, match=expected):
        kl.strip(model, at_least=0.8)
    assert kl.Lottery.on(model) is not None
    for wrong in (-0.1, 1.1, 80, float("nan")):
        with pytest.raises(ValueError, match=r"`at_least` is .* a sparsity must be in"):
            kl.strip(model, at_least=wrong)
    kl.strip(model, at_least=0.5)


def test_masks_from_zeros_where_there_are_none(make_model, data):
    """A stripped model that was trained on densely: said, or no mask would be missed."""
    model = make_model()
    kl.Lottery(model).prune(0.5)
    kl.strip(model).fit(*data, verbose=0)
    with pytest.warns(
        UserWarning, match="`from_zeros` masks nothing: .* trained without its masks"
    ):
        assert kl.Lottery.from_zeros(model).sparsity == 0
