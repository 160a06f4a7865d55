"""The owner of the masks: pruning, rewinding, and what it refuses."""

import keras
import numpy as np
import pytest
from kernel_values import kernel_of

import keras_lottery as kl


@pytest.mark.filterwarnings("ignore:The pruning left no weight alive")  # 0.99 of 32 is all
def test_pruning_is_exact_and_masks_only_shrink(make_model):
    model = make_model()
    lottery = kl.Lottery(model)
    before = lottery.masks
    for sparsity in (0.0, 0.1, 0.5, 0.5, 0.99, 1.0):
        lottery.prune(sparsity)
        assert lottery.alive_counts["fc1/kernel"] == 48 - int(sparsity * 48 + 0.5)
        assert lottery.alive_counts["output/kernel"] == 32 - int(sparsity * 32 + 0.5)
        assert all(not np.any(lottery.masks[n] & ~before[n]) for n in before)
        before = lottery.masks
        lottery.check()
    assert lottery.sparsity == 1
    assert not kernel_of(model).any()


def test_the_numbers_add_up(make_model):
    lottery = kl.Lottery(make_model())
    lottery.prune(0.5, overrides={"output": 0.25})
    assert lottery.names == ["fc1/kernel", "output/kernel"]
    assert lottery.alive_counts == {"fc1/kernel": 24, "output/kernel": 24}
    assert lottery.sparsities == {"fc1/kernel": 0.5, "output/kernel": 0.25}
    assert lottery.sparsity == pytest.approx(32 / 80)  # biases are not counted
    lottery.masks["fc1/kernel"][:] = False  # a copy
    assert lottery.alive_counts["fc1/kernel"] == 24


@pytest.mark.parametrize("scope", ["layerwise", "globally", "erdos_renyi"])
def test_an_override_holds_in_its_kernel(make_model, scope):
    lottery = kl.Lottery(make_model())
    lottery.prune(0.5, recipe=kl.Recipe(scope=scope), overrides={"output": 0.0})
    assert lottery.alive_counts == {"fc1/kernel": 24, "output/kernel": 32}


def test_what_is_pruned_is_the_smallest(make_model):
    model = make_model()
    magnitudes = np.abs(kernel_of(model))
    lottery = kl.Lottery(model)
    lottery.prune(rate=0.25)
    mask = lottery.masks["fc1/kernel"]
    assert magnitudes[~mask].max() < magnitudes[mask].min()
    lottery.prune(rate=0.25)
    assert lottery.alive_counts["fc1/kernel"] == 27  # 48 - 12 - 9


def test_pruning_nothing_changes_nothing(make_model):
    lottery = kl.Lottery(make_model())
    lottery.prune(0.5)
    previous = dict(lottery.state.previous)
    lottery.prune(0.25)
    assert all(lottery.state.previous[name] is array for name, array in previous.items())


def test_a_criterion_of_ones_own_sees_the_record(make_model, data):
    model, seen = make_model(), {}
    start = kernel_of(model)
    lottery = kl.Lottery(model, kl.Recipe(include="fc1"), seed=7)
    model.fit(*data, verbose=0)
    trained = kernel_of(model)

    def criterion(kernel):
        seen[kernel.name] = kernel
        return kernel.rng.random(kernel.current.shape)

    lottery.prune(0.5, recipe=criterion)
    record = seen["fc1/kernel"]
    np.testing.assert_array_equal(record.initial, start)
    np.testing.assert_array_equal(record.previous, start)
    np.testing.assert_array_equal(record.current, trained)
    first = lottery.masks["fc1/kernel"]
    lottery.prune(0.75, recipe=criterion)
    np.testing.assert_array_equal(seen["fc1/kernel"].previous, trained * first)


def test_random_choices_depend_on_the_seed_and_on_nothing_else():
    """Not on the numbers Keras gives to layers; and no two kernels or events are alike."""

    def masks(seed):
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(8)])
        lottery = kl.Lottery(model, seed=seed)
        for rate in (0.5, 0.5):
            lottery.prune(recipe="random", rate=rate)
            yield from lottery.masks.values()

    first, again, other = (np.array(list(masks(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    assert np.any(first[0] != first[1])


def test_rewinding_restores_everything(make_model, data):
    model = make_model("adam")
    values = [keras.ops.convert_to_numpy(v) for v in model.variables]
    lottery = kl.Lottery(model)
    model.fit(*data, verbose=0)
    model.optimizer.learning_rate = 0.5
    lottery.prune(0.5)
    lottery.rewind()
    masks = iter(lottery.masks.values())
    for start, variable in zip(values, model.variables, strict=True):
        expected = start * next(masks) if start.ndim == 2 else start
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), expected)
    assert int(model.optimizer.iterations) == 0
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


def test_rewinding_leaves_the_users_constraint_to_training(make_model):
    """theta_0 is what it was, also where a constraint would have it otherwise."""
    model = make_model()
    model.get_layer("fc1").kernel.constraint = keras.constraints.UnitNorm()
    start = kernel_of(model)
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    lottery.rewind()
    np.testing.assert_array_equal(kernel_of(model), start * lottery.masks["fc1/kernel"])


def test_a_point_saved_during_training(make_model, data):
    model = make_model("adam")
    lottery = kl.Lottery(model)
    model.fit(*data, verbose=0)
    lottery.save_rewind_point(step=3)
    point = kernel_of(model)
    model.fit(*data, verbose=0)
    lottery.prune(0.5)
    lottery.rewind()
    np.testing.assert_array_equal(kernel_of(model), point * lottery.masks["fc1/kernel"])
    assert int(model.optimizer.iterations) == 3
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"compiled anew after its rewind point.*step 3"):
        lottery.rewind()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "Give `sparsity` or `rate`"),
        ({"sparsity": 0.5, "rate": 0.5}, "Give `sparsity` or `rate`"),
        ({"sparsity": 1.5}, "1.5"),
        ({"rate": -0.1}, "-0.1"),
        ({"sparsity": 0.5, "overrides": {"fc9": 0.1}}, "Nothing matched.*'fc9'"),
        ({"sparsity": 0.5, "recipe": "largest"}, "No 'largest' in criteria or scorers"),
        ({"sparsity": 0.5, "recipe": "movement"}, "movement scores all weights alike"),
        (
            {"sparsity": 0.5, "recipe": kl.Recipe(scope=lambda *event: event[1])},
            "pruned 0 entries; .* prune 40",
        ),
        (
            {"sparsity": 0.5, "recipe": kl.Recipe(exclude="fc1")},
            "made with exclude=None: kernels are",
        ),
        (
            {"sparsity": 0.5, "recipe": kl.Recipe(hold_at="freeze")},
            "holds 'fc1/kernel' at 'freeze', and the masks were made to hold it at 'zero'",
        ),
        ({"sparsity": 0.5, "recipe": "snip"}, "'snip' measures the model: give `data`"),
        ({"sparsity": 0.5, "data": ([1], [1])}, "`data` is given, but no criterion looks at it"),
    ],
)
def test_wrong_prunings_change_nothing(make_model, settings, message):
    lottery = kl.Lottery(make_model())
    with pytest.raises(ValueError, match=message):
        lottery.prune(**settings)
    assert lottery.sparsity == 0


def test_weights_that_diverged_are_refused_by_name(make_model):
    model = make_model()
    lottery = kl.Lottery(model)
    kernel = kernel_of(model)
    kernel[0, 0] = np.nan
    model.get_layer("fc1").kernel.assign(kernel)
    with pytest.raises(ValueError, match="'fc1/kernel' has weights that are not finite"):
        lottery.prune(0.5)


def test_some_kernels_go_by_another_recipe(make_model):
    recipe = kl.Recipe(
        scope="globally",
        otherwise={"output": kl.Recipe("small_final", hold_at="freeze", restart_from="reinit")},
    )
    model = make_model()
    lottery = kl.Lottery(model, recipe)
    start = {name: k.copy() for name, k in lottery.state.point.values.items()}
    lottery.prune(0.5)
    mask, output = lottery.masks["output/kernel"], start["output/kernel"]
    assert lottery.alive_counts == {"fc1/kernel": 24, "output/kernel": 16}
    assert np.abs(output[mask]).max() <= np.abs(output[~mask]).min()
    now = keras.ops.convert_to_numpy(model.get_layer("output").kernel)
    np.testing.assert_array_equal(now[~mask], output[~mask])  # held where they were
    np.testing.assert_array_equal(kernel_of(model)[~lottery.masks["fc1/kernel"]], 0)
    lottery.rewind()
    now = keras.ops.convert_to_numpy(model.get_layer("output").kernel)
    assert not np.any(now[mask] == output[mask])
    alive = lottery.masks["fc1/kernel"]
    np.testing.assert_array_equal(kernel_of(model)[alive], start["fc1/kernel"][alive])
    assert lottery.holds_nonzero
