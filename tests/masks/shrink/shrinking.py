"""What the tests of shrinking share: weights for a whole model, and the comparison of two."""

import keras
import numpy as np

import keras_lottery as kl
from keras_lottery.model import keras_internals


def randomise(model, sparsity, seed=0):
    """Give all variables random values, and prune single weights of every kernel."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" in variable.path:
            continue
        values = rng.normal(size=variable.shape)
        if variable.name.endswith("kernel"):
            values *= rng.random(variable.shape) >= sparsity
        if variable.name == "moving_variance":
            values = np.abs(values) + 0.5
        variable.assign(values)
    return model


def silence(layer, outputs=(), inputs=()):
    """Prune all weights that lead to some outputs of a layer, or from some inputs."""
    kernel = np.array(keras.ops.convert_to_numpy(layer.kernel))
    kernel[..., list(outputs)] = 0
    kernel[..., list(inputs), :] = 0
    layer.kernel.assign(kernel)


def answers(model, count=5):
    """What a model answers to random inputs, as a list of arrays."""
    rng = np.random.default_rng(1)
    given = [rng.normal(size=(count, *x.shape[1:])).astype("float32") for x in model.inputs]
    given = keras.tree.pack_sequence_as(keras_internals.inputs_of(model), given)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(given))]


def assert_shrinks(model, tolerance=1e-5, **units):
    """Shrink a model; the layers named have these units afterwards, and the answers are equal."""
    small = kl.shrink(model)
    for before, after in zip(answers(model), answers(small), strict=True):
        np.testing.assert_allclose(after, before, rtol=0, atol=tolerance * np.abs(before).max())
    after = {name: small.get_layer(name).kernel.shape[-1] for name in units}
    assert after == units
    report = kl.shrink_report(model)
    assert {name: report.units[name][1] for name in units} == units
    assert report.weights[1] == sum(int(np.prod(weight.shape)) for weight in small.weights)
    again = kl.shrink_report(small)
    assert {name: left for name, (_, left) in report.units.items()} == {
        name: left for name, (_, left) in again.units.items()
    }, "shrinking once more removes more"
    return small
