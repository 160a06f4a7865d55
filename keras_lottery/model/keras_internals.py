"""Private names of Keras that this package uses, in one room.

Each is behind a function or name of this module. When Keras moves one, its own test in
`tests/model/test_keras_internals.py` fails first and says which one.
"""

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import keras

# The class whose `apply` every optimizer of Keras inherits or ends in.
BASE_OPTIMIZER = next(
    base for base in reversed(keras.optimizers.Optimizer.__mro__) if hasattr(base, "apply")
)

# The class whose `make_train_function` every `fit` begins with, while the variables have their
# values.
TRAINER = next(base for base in keras.Model.__mro__ if "make_train_function" in vars(base))

# What TensorFlow calls the graphs of the train steps that `fit` compiles.
_GRAPHS_OF_FIT = frozenset({"one_step_on_data", "multi_step_on_iterator"})


def variables_trained_by(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables that an optimizer was built over, in its order; none before it is built."""
    return list(getattr(optimizer, "_trainable_variables", ()))


def slots_by_attribute(
    optimizer: keras.optimizers.Optimizer,
) -> dict[str, list[keras.Variable | None]]:
    """The optimizer's lists of slots, by attribute, each in the order of the trained variables."""
    trained = variables_trained_by(optimizer)
    lists = {
        name: list(value)
        for name, value in vars(optimizer).items()
        if isinstance(value, list) and len(value) == len(trained) and name != "_trainable_variables"
    }
    return {
        name: slots
        for name, slots in lists.items()
        if any(isinstance(slot, keras.Variable) for slot in slots)
        and all(slot is None or isinstance(slot, keras.Variable) for slot in slots)
        and name not in ("_variables", "_inner_optimizers")
    }


def averages_of(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable | None]:
    """The moving averages that an optimizer keeps of the variables it trains; none without EMA."""
    if not getattr(optimizer, "use_ema", False) or not optimizer.built:
        return []
    return list(optimizer._model_variables_moving_average)


def own_variables_of(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables of an optimizer itself, without those of optimizers inside it."""
    return list(optimizer._variables)


def track(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> None:
    """Make a variable one of an optimizer's."""
    if not any(variable is own for own in optimizer._variables):
        optimizer._track_variable(variable)


def untrack(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> None:
    """Make a variable none of an optimizer's."""
    optimizer._untrack_variable(variable)


def is_traced(value: Any) -> bool:
    """Return whether a value is a placeholder of a JAX trace, an argument of the traced step."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return isinstance(value, jax.core.Tracer)


def is_in_a_traced_step(optimizer: keras.optimizers.Optimizer) -> bool:
    """Return whether a compiled function of the user's may contain a step of an optimizer.

    TensorFlow tells what its traced functions captured. JAX does not, and torch compiles nothing.
    The graphs of `fit` do not count: they outlive the model's next `compile`, and nobody calls them
    any more.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.backend.backend() == "jax"
    handle = optimizer.iterations.value.handle
    return any(
        captured is handle
        for found in gc.get_objects()
        if type(found).__name__ == "FuncGraph" and found.name not in _GRAPHS_OF_FIT
        for captured in found.external_captures
    )


def flat_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """A model and all layers in it, at any depth."""
    return iter(model._flatten_layers())


def inputs_of(model: keras.Model) -> Any:
    """The symbolic inputs of a model, nested as its call takes them; `None` if it has none."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    return getattr(model, "_inputs_struct", inputs[0] if len(inputs) == 1 else inputs)


def owners_of(variable: keras.Variable, model: keras.Model) -> list[keras.Layer]:
    """The layers of a model that have a variable as their own.

    Several do where one wraps another, as SpectralNormalization.
    """
    return [
        layer
        for layer in flat_layers(model)
        if any(variable is own for own in variables_owned_by(layer))
    ]


def variables_owned_by(layer: keras.Layer) -> list[keras.Variable]:
    """The variables of a layer itself, without those of layers inside it."""
    return layer._trainable_variables + layer._non_trainable_variables


def operation_of(tensor: Any) -> Any:
    """The layer or operation that computes a symbolic tensor; `None` if Keras does not say."""
    history = getattr(tensor, "_keras_history", None)
    return None if history is None else history.operation


def graph_of(model: keras.Model) -> Any:
    """The graph of calls that a Sequential or functional model runs; `None` if it has none."""
    graph = getattr(model, "_functional", model)
    return graph if hasattr(graph, "_nodes_by_depth") else None


def calls_of(model: keras.Model) -> list[Any]:
    """The calls in a model's graph, each after those whose outputs it takes.

    A call has an `operation` (most often a layer), `arguments`, `input_tensors` and
    `output_tensors`.
    """
    by_depth = graph_of(model)._nodes_by_depth
    return [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]]


def outputs_of(model: keras.Model) -> list[Any]:
    """The symbolic outputs of a Sequential or functional model, flat."""
    return list(graph_of(model).outputs)


def arithmetic() -> dict[str, type]:
    """The operations that Keras notes for `x + y` and the like, by the name of their layer."""
    from keras.src.ops import numpy as operations

    return {
        name: getattr(operations, name) for name in ("Add", "Subtract", "Multiply", "TrueDivide")
    }


def lambdas_allowed() -> contextlib.AbstractContextManager[Any]:
    """A scope in which Keras makes lambdas from the configuration of a layer that we trust."""
    from keras.src.saving import serialization_lib

    return serialization_lib.SafeModeScope(safe_mode=False)


def build_for(model: keras.Model, batch: Any) -> None:
    """Create all variables that a train step over such a batch needs, metrics' and optimizer's."""
    model._symbolic_build(data_batch=batch)


def resumed_at(model: keras.Model) -> int | None:
    """The epoch at which `BackupAndRestore` resumed training; `None` or 0 if it did not."""
    return getattr(model, "_initial_epoch", None)


def batches_since_saving(callback: keras.callbacks.Callback) -> int:
    """The number of batches since a `ModelCheckpoint` or `BackupAndRestore` saved last."""
    return int(getattr(callback, "_batches_seen_since_last_saving", 0))


def has_train_function(model: keras.Model) -> bool:
    """Return whether a model has made, and perhaps compiled, its train step already."""
    return getattr(model, "train_function", None) is not None


def stored_kernel(layer: keras.Layer) -> keras.Variable | None:
    """The variable that a layer with LoRA stores its own kernel or table in."""
    return getattr(layer, "_kernel", getattr(layer, "_embeddings", None))


def after_compile(model: keras.Model, then: Callable[[], None] | None) -> None:
    """Call `then` after every later `compile` of a model; stop doing so if it is `None`."""
    vars(model).pop("compile", None)
    if then is None:
        return
    method = type(model).compile

    @functools.wraps(method)
    def compile_and_tell(*args: Any, **kwargs: Any) -> None:
        method(model, *args, **kwargs)
        then()

    object.__setattr__(model, "compile", compile_and_tell)
