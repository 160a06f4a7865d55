"""Who has stepped, and whether with the masks: told without a `Lottery`."""

import gc

import keras
import numpy as np
import pytest

from keras_lottery.masks import watch


def make():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc")])


def watch_over(model, named=()):
    return watch.Watch(model, {"fc/kernel": model.layers[0].kernel}, named)


def step(optimizer, model):
    optimizer.apply([np.ones(v.shape, "f4") for v in model.trainable_variables])


def built(optimizer, model):
    optimizer.build(model.trainable_variables)
    return optimizer


def test_steps_that_saw_the_masks_and_steps_that_did_not():
    model = make()
    seen, unseen, early, idle = (built(keras.optimizers.SGD(name=n), model) for n in "abcd")
    step(early, model)
    over = watch_over(model)
    over.begin(again=False)
    assert list(over.unmasked()) == []  # what stepped before is nothing new
    for optimizer in (seen, unseen):
        step(optimizer, model)
    over.note(seen)
    assert list(over.unmasked()) == [unseen]
    over.begin(again=True)  # the masks moved, and it has not seen them yet
    step(seen, model)
    assert set(over.unmasked()) == {seen, unseen}
    over.begin(again=False)
    assert list(over.unmasked()) == []
    assert int(idle.iterations) == 0


def test_an_optimizer_that_came_later():
    """Also one that takes the place, and so the `id`, of one that is gone."""
    model = make()
    over = watch_over(model)
    for _ in range(2):
        old = built(keras.optimizers.SGD(), model)
        for _ in range(3):
            step(old, model)
        over.begin(again=False)
        del old
        gc.collect()
        new = built(keras.optimizers.SGD(), model)
        step(new, model)
        assert list(over.unmasked()) == [new]
        over.note(new)
        assert list(over.unmasked()) == []
        del new


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Keras' loss scaling cannot step eagerly on JAX"
)
def test_the_inner_optimizer_notes_the_step_of_the_outer():
    model = make()
    outer = built(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), model)
    over = watch_over(model, outer)
    over.begin(again=False)
    step(outer, model)
    over.note(outer.inner_optimizer)
    assert list(over.unmasked()) == []
    assert over.optimizers() == [outer]


def test_models_around_are_known_and_not_kept_alive():
    part = make()
    whole = keras.Sequential([keras.Input((3,)), part])
    whole.compile("sgd", "mse")
    over = watch_over(part)
    assert over.models() == [part, whole]
    assert over.optimizers() == [whole.optimizer]
    later = keras.Sequential([keras.Input((3,)), part])
    later.compile("adam", "mse")
    for _ in range(2):  # not twice
        over.meet(later)
        over.meet(part)
    assert over.models() == [part, whole, later]
    del whole, later
    keras.backend.clear_session()
    gc.collect()
    assert over.models() == [part]


def test_named_optimizers_come_after_the_models_own():
    model = make()
    model.compile("sgd", "mse")
    named = [keras.optimizers.Adam(), keras.optimizers.Lion()]
    assert watch_over(model, iter(named)).optimizers() == [model.optimizer, *named]
    assert watch_over(model, named[0]).optimizers() == [model.optimizer, named[0]]
    assert watch_over(model, model.optimizer).optimizers() == [model.optimizer]


@pytest.mark.parametrize("wrong", ["sgd", 3, [keras.optimizers.SGD], {"sgd": 1}])
def test_what_is_no_optimizer(wrong):
    with pytest.raises(ValueError, match="`optimizer` must be a Keras optimizer or a list of them"):
        watch_over(make(), wrong)
