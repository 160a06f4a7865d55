"""Runs a chunk of steps as one JAX call, a loop over the trainer's stateless `train_step`."""

from collections.abc import Callable
from typing import Any

import jax
import keras

from keras_lottery.model import keras_internals
from keras_lottery.training.choice import Choice
from keras_lottery.training.data import Samples


class Steps:
    """The compiled steps of one model over one set of samples.

    The compiled functions are stored on Keras' `model.train_function`, and live as long.

    Args:
        model: A compiled model.
        samples: The training data, as tensors.
    """

    choice = Choice("scan", "JAX compiles every step anyway")

    def __init__(self, model: keras.Model, samples: Samples):
        self.model = model
        self.samples = samples
        # A stateless step can create no variables, so all must be there before the first one.
        first = keras.tree.map_structure(lambda a: a[: samples.batch_size], samples.arrays)
        keras_internals.build_for(model, first)

    def start_epoch(self, epoch: int) -> Callable:
        """Return `run(first, last) -> logs`, which does steps `first` up to `last` of an epoch."""
        order = jax.numpy.asarray(self.samples.order(epoch))

        def run(first: int, last: int) -> Any:
            variables = (
                self.model.trainable_variables,
                self.model.non_trainable_variables,
                self.model.optimizer.variables,
                self.model.metrics_variables,
            )
            state = keras.tree.map_structure(lambda variable: variable.value, variables)
            for batch_size, begin, count in self.samples.stretches(first, last):
                logs, state = self._loop(batch_size)(
                    state, self.samples.arrays, order, begin, count
                )
            keras.tree.map_structure(lambda v, value: v.assign(value), variables, state)
            return logs

        return run

    def _loop(self, batch_size: int) -> Any:
        """The compiled loop over batches of one size; its state is given up to it."""
        take_step = self.model.train_step

        def step(state: Any, data: Any, order: Any, position: Any) -> Any:
            indices = jax.lax.dynamic_slice(order, (position,), (batch_size,))
            return take_step(state, keras.tree.map_structure(lambda a: a[indices], data))

        def loop(state: Any, data: Any, order: Any, begin: int, count: Any) -> Any:
            logs = jax.eval_shape(step, state, data, order, begin)[0]
            logs = keras.tree.map_structure(lambda log: jax.numpy.zeros(log.shape, log.dtype), logs)

            def body(number: Any, carry: Any) -> Any:
                return step(carry[1], data, order, begin + number * batch_size)

            return jax.lax.fori_loop(0, count, body, (logs, state))

        self.model.make_train_function()
        made = vars(self.model.train_function).setdefault("keras_lottery", {})
        return made.setdefault(batch_size, jax.jit(loop, donate_argnums=0))
