"""Models and optimizers in this process that train some kernels."""

import gc

import keras
import numpy as np
import pytest

from keras_lottery.model import trainers


def make(name="fc"):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name=name)])


def around(part):
    return keras.Sequential([keras.Input((3,)), part, keras.layers.Dense(1)])


class Mine(keras.optimizers.SGD):
    """An optimizer of a class that came later."""


def ids(objects):
    return set(map(id, objects))


def test_those_that_train_a_kernel_and_no_others():
    part, other = make(), make()
    whole, uncompiled = around(part), around(part)
    for model in (whole, other):
        model.compile("sgd", "mse")
    own, strange = Mine(), Mine()
    own.build(part.trainable_variables)
    strange.build(other.trainable_variables)
    whole.optimizer.build(whole.trainable_variables)
    found = trainers.find([part.layers[0].kernel])
    assert ids(found.models) == ids([whole])
    assert ids(found.optimizers) == ids([own, whole.optimizer])
    assert ids(trainers.find(uncompiled.variables).models) == ids([whole])
    assert trainers.find([]) == trainers.Trainers([], [])
    del own, found
    gc.collect()
    assert ids(trainers.find([part.layers[0].kernel]).optimizers) == ids([whole.optimizer])


def test_looking_touches_nothing_else():
    """Not even what pretends to be an optimizer, or fails when it is asked for its class."""

    class Proxy:
        @property
        def __class__(self):
            raise RuntimeError("touched")

    proxy = Proxy()
    model = make()
    model.compile("sgd", "mse")
    assert ids(trainers.find(model.variables).models) == ids([model])
    assert proxy is not None


class Pair(keras.Model):
    """Two optimizers in a dict, one in a list, one of its own; and one twice."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(1)
        self.first = keras.optimizers.Adam()
        self.by_name = {"a": self.first, "b": keras.optimizers.SGD(), "c": 3}
        self.listed = [keras.optimizers.Lion(), "lion"]


def test_the_optimizers_of_a_model():
    model = Pair()
    assert ids(trainers.optimizers_of(model)) == ids(
        [model.first, model.by_name["b"], model.listed[0]]
    )
    model.compile("rmsprop")
    found = trainers.optimizers_of(model)
    assert found[0] is model.optimizer
    assert len(found) == 4
    assert trainers.optimizers_of(make()) == []


def test_an_optimizer_inside_another_is_none_of_its_own():
    inner = keras.optimizers.SGD()
    outer = keras.optimizers.LossScaleOptimizer(inner)
    alone = keras.optimizers.Adam()
    assert trainers.outermost([inner, alone, outer, alone]) == [alone, outer]
    assert trainers.parts(outer) == [outer, inner]
    assert trainers.parts(alone) == [alone]


def test_an_optimizer_of_several():
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    several = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD(), {".*kernel": keras.optimizers.Adam()})
    )
    several.build(make().trainable_variables)
    kinds = {type(part).__name__ for part in trainers.parts(several)}
    assert kinds == {"MultiOptimizer", "SGD", "Adam"}
    assert trainers.outermost([*trainers.parts(several)]) == [several]


def test_building_an_optimizer():
    model = make()
    trainers.build_optimizer(model)  # not compiled: nothing to build
    model.compile("adam", "mse")
    model.layers[0].trainable = False
    trainers.build_optimizer(model)
    assert model.optimizer.built
    before = list(map(id, model.optimizer.variables))
    trainers.build_optimizer(model)
    assert list(map(id, model.optimizer.variables)) == before
    model = Pair()  # whose head nothing has called yet
    model.compile("adam", "mse")
    trainers.build_optimizer(model)
    assert not model.optimizer.built


def test_steps():
    model, optimizer = make(), keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    assert trainers.steps_of(optimizer) == 0
    optimizer.apply([np.ones(v.shape, "f4") for v in model.trainable_variables])
    assert trainers.steps_of(optimizer) == 1
