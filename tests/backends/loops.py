"""A training loop of a user's own, compiled as the backend has it."""

import keras
from watch import BACKEND


def compiled_step(model, optimizer, given=None):
    """A function `step(x, y)` that trains a model once, on the mean squared error.

    Args:
        model: The model that is called.
        optimizer: The optimizer, built or not.
        given: On JAX: the optimizer's variables that the step takes as an argument. Defaults to all
            that there are when it is called.
    """
    made = {"tensorflow": _with_a_tape, "jax": _stateless, "torch": _backward}[BACKEND]
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return made(model, optimizer, given)


def loss_of(model, x, y):
    return keras.ops.mean((model(x, training=True) - y) ** 2)


def _with_a_tape(model, optimizer, given):
    import tensorflow as tf

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, y)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    return step


def _stateless(model, optimizer, given):
    import jax

    def loss(trained, rest, x, y):
        outputs, rest = model.stateless_call(trained, rest, x, training=True)
        return ((outputs - y) ** 2).mean(), rest

    @jax.jit
    def compiled(trained, rest, slots, x, y):
        gradients, rest = jax.grad(loss, has_aux=True)(trained, rest, x, y)
        return *optimizer.stateless_apply(slots, gradients, trained), rest

    def step(x, y):
        slots = optimizer.variables if given is None else given
        parts = model.trainable_variables, model.non_trainable_variables, slots
        trained, slots, rest = compiled(*([v.value for v in part] for part in parts), x, y)
        for variables, values in zip(
            (parts[0], parts[2], parts[1]), (trained, slots, rest), strict=True
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    return step


def _backward(model, optimizer, given):
    def step(x, y):
        model.zero_grad()
        loss_of(model, x, keras.ops.convert_to_tensor(y)).backward()
        variables = model.trainable_variables
        optimizer.apply([v.value.grad for v in variables], variables)

    return step
