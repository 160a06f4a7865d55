"""Masks beside constraints, compilations and files of the user's own, on every backend.

`KERAS_BACKEND=jax pytest tests/backends` runs the same on JAX, and likewise on torch.
"""

import keras
import numpy as np
import pytest
from watch import OPTIMIZERS, Watch, assert_held, kernels

import keras_lottery as kl
from keras_lottery import schedules


def test_the_users_constraint_comes_first_and_returns(make_model, data):
    model = make_model(keras.optimizers.SGD(0.5))
    own = keras.constraints.UnitNorm(axis=0)
    model.get_layer("fc1").kernel.constraint = own
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    model.fit(*data, batch_size=12, verbose=0)
    assert_held(lottery)
    kernel = keras.ops.convert_to_numpy(model.get_layer("fc1").kernel)
    # The norm was made 1 before the mask took weights out.
    assert np.all(np.linalg.norm(kernel, axis=0) < 1 + 1e-6)
    lottery.prune(0.0)
    lottery.detach()
    assert model.get_layer("fc1").kernel.constraint is own
    model.fit(*data, batch_size=12, verbose=0)
    kernel = keras.ops.convert_to_numpy(model.get_layer("fc1").kernel)
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
    assert np.all(kernel != 0)  # nothing holds them any more


LOAD = """
import sys, warnings
warnings.simplefilter("error", UserWarning)
import keras, numpy as np
for path in PATHS:
    model = keras.saving.load_model(path)
    kernel = keras.ops.convert_to_numpy(model.get_layer("fc1").kernel)
    print((kernel == 0).sum(), int(model.optimizer.iterations), len(model.optimizer.variables))
assert not any(name.startswith("keras_lottery") for name in sys.modules)
"""


@pytest.mark.long
def test_files_load_without_us(make_model, data, tmp_path, run_python):
    """Saved in mid-epoch, after `fit` with the masks on, and stripped; with all optimizer state."""
    paths, expected = [], []
    for optimizer in ("momentum", "loss scaling"):
        plain = make_model(OPTIMIZERS[optimizer]())
        plain.optimizer.build(plain.trainable_variables)
        model = make_model(OPTIMIZERS[optimizer]())
        during, after, stripped = (
            str(tmp_path / f"{optimizer} {when}.keras") for when in ("during", "after", "stripped")
        )
        model.fit(
            *data,
            batch_size=12,
            epochs=2,
            verbose=0,
            callbacks=[
                kl.Prune(
                    schedules.constant(0.5, begin=1), kl.Recipe(hold_at="freeze_unless_shrinking")
                ),
                keras.callbacks.ModelCheckpoint(during, save_freq=9),
            ],
        )
        model.save(after)
        zeros = np.count_nonzero(kernels(model)[model.get_layer("fc1").kernel.path] == 0)
        kl.strip(model).save(stripped)
        count = len(plain.optimizer.variables)
        paths += [during, after, stripped]
        expected += [f"{zeros} {steps} {count}" for steps in (9, 14, 14)]
    assert run_python(LOAD.replace("PATHS", repr(paths))).splitlines() == expected


def test_saving_in_mid_epoch_leaves_training_alone(data, tmp_path):
    """Nor does it mix up masks of one shape, or masks and the values held."""
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(6, name="a"), keras.layers.Dense(6, name="b")]
    )
    model.compile("sgd", "mse")
    lottery = kl.Lottery(model, kl.Recipe(hold_at="freeze"))
    start = {name: keras.ops.convert_to_numpy(k) for name, k in lottery._kernels.items()}
    lottery.prune(0.5)
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "model.keras"), save_freq=2)
    x = data[0]
    model.fit(x, x, batch_size=12, verbose=0, callbacks=[save, Watch(start)])
    lottery.check()


def test_after_detach_nothing_of_ours_remains(make_model, data):
    plain, model = make_model("adam"), make_model("adam")
    plain.optimizer.build(plain.trainable_variables)
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    model.fit(*data, verbose=0)
    lottery.detach()
    assert all(v.constraint is None for v in model.variables)
    assert len(model.optimizer.variables) == len(plain.optimizer.variables)
    added = set(vars(model.optimizer)) - set(vars(plain.optimizer))
    assert not added & {"save_own_variables", "load_own_variables"}
    model.fit(*data, verbose=0)
    assert all(np.all(kernel != 0) for kernel in kernels(model).values())
    with pytest.raises(kl.MaskError, match="fc1/kernel"):
        lottery.check()
    lottery.attach()
    lottery.enforce()
    model.fit(*data, verbose=0)
    assert_held(lottery)


@pytest.mark.parametrize("again", [False, True])
def test_a_constraint_that_was_replaced(make_model, data, again):
    """Its mask goes at `detach` like the others; or comes back, after the new constraint."""
    model = make_model("sgd")
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    replaced = keras.constraints.MaxNorm(1.0)
    model.get_layer("fc1").kernel.constraint = replaced
    if again:
        lottery.attach()
        model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.detach()
    assert model.get_layer("fc1").kernel.constraint is replaced
    assert len(model.optimizer.variables) == 2


def test_masks_survive_compiling_anew(make_model, data):
    model = make_model("adam")
    lottery = kl.Lottery(model)
    lottery.prune(0.25)
    model.fit(*data, verbose=0)
    model.compile("sgd", "categorical_crossentropy")
    model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.prune(0.5)
    model.fit(*data, verbose=0, callbacks=[Watch()])
    assert lottery.alive_counts == {"fc1/kernel": 24, "output/kernel": 16}
    lottery.rewind()
    assert int(model.optimizer.iterations) == 0
    lottery.detach()
    assert len(model.optimizer.variables) == 2


def test_a_model_masked_before_it_is_compiled(data):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="fc1")])
    lottery = kl.Lottery(model)
    lottery.prune(0.25)
    model.compile("adam", "mse")
    model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.prune(0.5)
    model.fit(*data, verbose=0, callbacks=[Watch()])
    lottery.rewind()
    assert int(model.optimizer.iterations) == 0
    assert_held(lottery)


@pytest.mark.long
def test_import_loads_no_exporter(run_python):
    """Nor TensorFlow, on a backend that does not need it."""
    heavy = ("tensorflow", "ai_edge_litert", "tensorflow_model_optimization")
    loaded = run_python(
        "import sys, keras\nbefore = set(sys.modules)\nimport keras_lottery\n"
        f"print([m for m in sys.modules if m not in before and m.split('.')[0] in {heavy}])"
    )
    assert loaded.strip() == "[]"
