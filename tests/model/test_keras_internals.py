"""Private names of Keras, each with a test that fails first and says which one Keras has moved."""

import keras
import numpy as np
import pytest

from keras_lottery.model import keras_internals


def dense(**arguments):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc", **arguments)])


def built(optimizer, model):
    optimizer.build(model.trainable_variables)
    return optimizer


def has(owner, name):
    """Say which name is gone, before anything else fails of it."""
    assert hasattr(owner, name), f"Keras has moved {type(owner).__name__}.{name}"


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    ],
)
def test_every_optimizer_ends_in_one_apply(name):
    mro = getattr(keras.optimizers, name).__mro__
    assert keras_internals.BASE_OPTIMIZER in mro
    assert "apply" in vars(keras_internals.BASE_OPTIMIZER)
    assert not any(
        "apply" in vars(base) for base in mro[mro.index(keras_internals.BASE_OPTIMIZER) + 1 :]
    )


def test_every_fit_begins_with_one_function(monkeypatch):
    calls = []
    original = keras_internals.TRAINER.make_train_function

    def make_train_function(self, force=False):
        calls.append(self)
        return original(self, force)

    monkeypatch.setattr(keras_internals.TRAINER, "make_train_function", make_train_function)
    model = dense()
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
    assert calls == [model], "Keras no longer calls Trainer.make_train_function in `fit`"


def test_the_variables_that_an_optimizer_trains():
    model, optimizer = dense(), keras.optimizers.Adam()
    assert keras_internals.variables_trained_by(optimizer) == []
    built(optimizer, model)
    has(optimizer, "_trainable_variables")
    trained = keras_internals.variables_trained_by(optimizer)
    assert list(map(id, trained)) == list(map(id, model.trainable_variables))
    trained.clear()  # a copy
    assert len(keras_internals.variables_trained_by(optimizer)) == 2


@pytest.mark.parametrize(
    "optimizer, attributes",
    [
        (lambda: keras.optimizers.SGD(), set()),
        (lambda: keras.optimizers.SGD(momentum=0.9), {"momentums"}),
        (lambda: keras.optimizers.Adam(), {"_momentums", "_velocities"}),
        (
            lambda: keras.optimizers.Adam(amsgrad=True, gradient_accumulation_steps=2),
            {"_momentums", "_velocities", "_velocity_hats", "_accumulated_gradients"},
        ),
        (
            lambda: keras.optimizers.RMSprop(momentum=0.9, centered=True),
            {"_velocities", "_momentums", "_average_gradients"},
        ),
        (lambda: keras.optimizers.Ftrl(), {"_accumulators", "_linears"}),
        (
            lambda: keras.optimizers.Lion(use_ema=True),
            {"_momentums", "_model_variables_moving_average"},
        ),
    ],
)
def test_slots_by_attribute(optimizer, attributes):
    model, optimizer = dense(), optimizer()
    assert keras_internals.slots_by_attribute(optimizer) == {}
    built(optimizer, model)
    found = keras_internals.slots_by_attribute(optimizer)
    assert set(found) == attributes, "Keras calls the slots of an optimizer otherwise"
    for slots in found.values():
        shapes = [slot.shape for slot in slots if slot is not None]
        assert shapes == [variable.shape for variable in model.trainable_variables]


def test_averages():
    model = dense()
    plain = built(keras.optimizers.SGD(), model)
    assert keras_internals.averages_of(plain) == []
    unbuilt = keras.optimizers.SGD(use_ema=True)
    assert keras_internals.averages_of(unbuilt) == []
    built(unbuilt, model)
    has(unbuilt, "_model_variables_moving_average")
    shapes = [average.shape for average in keras_internals.averages_of(unbuilt)]
    assert shapes == [(3, 2), (2,)]


def test_an_optimizers_own_variables():
    """Without those of the one inside, and a variable of ours among them or not."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(momentum=0.9))
    built(optimizer, dense())
    has(optimizer, "_variables")
    has(optimizer, "_track_variable")
    has(optimizer, "_untrack_variable")
    own = keras_internals.own_variables_of(optimizer)
    inside = keras_internals.own_variables_of(optimizer.inner_optimizer)
    assert not set(map(id, own)) & set(map(id, inside))
    ours = keras.Variable(np.ones(2), trainable=False)
    for _ in range(2):  # not twice
        keras_internals.track(optimizer, ours)
    assert [id(v) for v in keras_internals.own_variables_of(optimizer)].count(id(ours)) == 1
    assert any(v is ours for v in optimizer.variables)
    keras_internals.untrack(optimizer, ours)
    assert list(map(id, keras_internals.own_variables_of(optimizer))) == list(map(id, own))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has no graphs")
def test_a_step_that_a_function_captured():
    import tensorflow as tf

    optimizers = [keras.optimizers.SGD(), keras.optimizers.SGD()]
    models = [dense(), dense()]
    for optimizer, model in zip(optimizers, models, strict=True):
        built(optimizer, model)
    variables = models[0].trainable_variables
    ones = [keras.ops.ones(variable.shape) for variable in variables]
    optimizers[1].apply(ones, models[1].trainable_variables)
    step = tf.function(lambda: optimizers[0].apply(ones, variables))
    assert not keras_internals.is_in_a_traced_step(optimizers[0])
    step()
    assert keras_internals.is_in_a_traced_step(optimizers[0]), "FuncGraph.external_captures"
    assert not keras_internals.is_in_a_traced_step(optimizers[1])
    assert not keras_internals.is_traced(tf.ones(2))


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has no graphs")
def test_a_step_that_fit_has_compiled(steps):
    model, optimizer = dense(), keras.optimizers.SGD()
    model.compile(optimizer, "mse", steps_per_execution=steps)
    x = np.ones((8, 3), "f4")
    model.fit(x, model(x), batch_size=2, verbose=0)
    model.train_on_batch(x, model(x))
    model.compile("sgd", "mse")
    assert not keras_internals.is_in_a_traced_step(optimizer), "names of the trainer's graphs"


def test_layers_at_any_depth_and_who_owns_a_variable():
    inner = dense()
    wrapped = keras.layers.SpectralNormalization(
        keras.layers.Dense(4, name="inside"), name="around"
    )
    model = keras.Sequential([keras.Input((3,)), inner, wrapped])
    has(model, "_flatten_layers")
    has(model, "_trainable_variables")
    has(model, "_non_trainable_variables")
    assert {"fc", "around", "inside"} <= {
        layer.name for layer in keras_internals.flat_layers(model)
    }
    owners = keras_internals.owners_of(inner.layers[0].kernel, model)
    assert [layer.name for layer in owners] == ["fc"]
    assert "inside" in [
        layer.name for layer in keras_internals.owners_of(wrapped.layer.kernel, model)
    ]
    assert keras_internals.owners_of(keras.Variable(1.0), model) == []


def test_the_variables_that_a_layer_owns():
    layer = keras.layers.BatchNormalization()
    keras.Sequential([keras.Input((3,)), layer])
    names = [variable.name for variable in keras_internals.variables_owned_by(layer)]
    assert names == ["gamma", "beta", "moving_mean", "moving_variance"]
    wrapper = keras.layers.TimeDistributed(keras.layers.Dense(2))
    keras.Sequential([keras.Input((4, 3)), wrapper])
    assert keras_internals.variables_owned_by(wrapper) == []


def test_the_operation_that_computes_a_tensor():
    layer = keras.layers.Dense(2)
    tensor = layer(keras.Input((3,)))
    has(tensor, "_keras_history")
    assert keras_internals.operation_of(tensor) is layer
    assert keras_internals.operation_of(np.ones(2)) is None


def test_all_variables_are_built_from_a_batch():
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    has(model, "_symbolic_build")
    keras_internals.build_for(model, (np.ones((4, 3), "float32"), np.ones((4, 2), "float32")))
    assert model.built and model.optimizer.built
    assert [tuple(variable.shape) for variable in model.variables] == [(3, 2), (2,)]


def test_where_a_training_was_taken_up_and_what_a_checkpoint_has_seen(tmp_path):
    x, y = np.ones((8, 3)), np.ones((8, 2))
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    for epochs, resumed in ((2, 0), (3, 2)):
        model = dense()
        model.compile("sgd", "mse")
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=[backup])
        assert (keras_internals.resumed_at(model) or 0) == resumed, "Trainer._initial_epoch"
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_freq=5)
    has(checkpoint, "_batches_seen_since_last_saving")
    assert keras_internals.batches_since_saving(checkpoint) == 0
    model = dense()
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=2, verbose=0, callbacks=[checkpoint])
    assert keras_internals.batches_since_saving(checkpoint) == 4
    assert keras_internals.batches_since_saving(keras.callbacks.Callback()) == 0


def test_a_train_function_that_was_made():
    model = dense()
    assert not keras_internals.has_train_function(model)
    model.compile("sgd", "mse")
    has(model, "train_function")
    assert not keras_internals.has_train_function(model)
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 2)))
    assert keras_internals.has_train_function(model)
    model.compile("sgd", "mse")
    assert not keras_internals.has_train_function(model)


@pytest.mark.parametrize(
    "layer, shape, attribute",
    [
        (lambda: keras.layers.Dense(2), (3,), "_kernel"),
        (lambda: keras.layers.EinsumDense("ab,bc->ac", 2), (3,), "_kernel"),
        (lambda: keras.layers.Conv2D(2, 1), (3, 3, 1), "_kernel"),
        (lambda: keras.layers.Embedding(4, 2), (3,), "_embeddings"),
    ],
)
def test_the_kernel_that_a_layer_with_adapters_stores(layer, shape, attribute):
    layer = layer()
    model = keras.Sequential([keras.Input(shape), layer])
    (kernel,) = [v for v in model.variables if v.name in ("kernel", "embeddings")]
    has(layer, attribute)
    layer.enable_lora(1)
    has(layer, "lora_enabled")
    assert keras_internals.stored_kernel(layer) is kernel
    assert keras_internals.stored_kernel(keras.layers.Flatten()) is None


def test_a_call_after_every_compile():
    model, calls = dense(), []
    keras_internals.after_compile(model, lambda: calls.append(model.optimizer.name))
    model.compile("adam", "mse")
    model.compile(optimizer="sgd", loss="mse")
    assert len(calls) == 2
    assert calls[1].startswith(("sgd", "SGD"))
    keras_internals.after_compile(model, None)
    model.compile("adam", "mse")
    assert len(calls) == 2
    assert "compile" not in vars(model)


def test_the_inputs_as_a_call_takes_them():
    assert keras_internals.inputs_of(dense()).shape == (None, 3)
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((3,), name="b")}
    model = keras.Model(inputs, keras.layers.Concatenate()(list(inputs.values())))
    has(model, "_inputs_struct")
    assert keras_internals.inputs_of(model).keys() == {"a", "b"}

    class Own(keras.Model):
        pass

    assert keras_internals.inputs_of(Own()) is None


def test_the_calls_in_a_graph():
    given = keras.Input((3,), name="given")
    first = keras.layers.Dense(3, name="first")(given)
    model = keras.Model(given, keras.layers.Add(name="sum")([given, first]))
    has(model, "_nodes_by_depth")
    calls = keras_internals.calls_of(model)
    assert [call.operation.name for call in calls] == ["given", "first", "sum"]
    assert calls[2].input_tensors[0] is given and calls[2].input_tensors[1] is first
    assert calls[1].output_tensors == [first] and not calls[0].input_tensors
    assert len(calls[1].arguments.args) == 1 and not calls[1].arguments.kwargs
    assert keras_internals.outputs_of(model) == calls[2].output_tensors
    has(dense(), "_functional")
    assert [call.operation.name for call in keras_internals.calls_of(dense())][1:] == ["fc"]
    assert keras_internals.graph_of(keras.Sequential([keras.layers.Dense(2)])) is None


def test_lambdas_are_allowed_in_a_scope():
    layer = keras.layers.Lambda(lambda x: 2 * x, output_shape=(1,), name="twice")
    config = layer.get_config()
    with keras_internals.lambdas_allowed():
        copy = keras.layers.Lambda.from_config(dict(config))
    assert copy(np.ones((1, 1))) == 2
    with pytest.raises(ValueError, match="disallowed by default"):
        keras.layers.Lambda.from_config(dict(config))
