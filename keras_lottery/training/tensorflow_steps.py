"""Runs a chunk of steps as one TensorFlow call, a loop over Keras' `train_step` or `test_step`.

The data stays in memory as tensors, and the body of the loop gathers a batch by its indices: no
Python and no input pipeline runs between two steps.
"""

import textwrap
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_lottery.training.choice import Choice
from keras_lottery.training.data import Samples


class Steps:
    """The compiled steps of one model over one set of samples.

    The traced functions are stored on Keras' `model.train_function` (or `test_function`) and live
    as long: `compile` and `make_train_function(force=True)` drop them, and a model that is trained
    many times is traced and compiled once.

    Args:
        model: A compiled model.
        samples: The data to train or test on, as tensors.
        kind: `"train"` or `"test"`.
        choose: A function that is called with the set of TensorFlow operations in a step, once
            they are known, and returns the `Choice` of how to run them.
    """

    def __init__(self, model: keras.Model, samples: Samples, kind: str, choose: Callable):
        self.model = model
        self.samples = samples
        # Keras, too, traces with a batch size it does not know if the last batch is smaller.
        even = samples.count % samples.batch_size == 0
        self.signature = (
            tf.TensorSpec([samples.batch_size if even else None], tf.int32),
            keras.tree.map_structure(tf.TensorSpec.from_tensor, samples.arrays),
        )
        self.key = repr(self.signature)
        self.kind = kind
        self.choose = choose
        self.choice: Choice | None = None

    def start_epoch(self, epoch: int) -> Callable:
        """Return `run(first, last) -> logs`, which does steps `first` up to `last` of an epoch."""
        order = tf.constant(self.samples.order(epoch))

        def run(first: int, last: int) -> Any:
            for batch_size, begin, count in self.samples.stretches(first, last):
                logs = self._run(batch_size, order, tf.constant(begin), tf.constant(count))
            return logs

        return run

    def _run(self, batch_size: int, order: Any, begin: int, count: Any) -> Any:
        step = self._step()
        if self.choice is None:
            self.choice = self.choose(_operations(step.graph))
        if self.choice.path == "xla":
            try:
                return self._loop(step, batch_size, True)(self.samples.arrays, order, begin, count)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
                # XLA compiles a chunk before it runs any of it: no weight has changed yet.
                refusal = textwrap.shorten(error.message, 200)
                self.choice = Choice("graph", f"XLA refuses the model ({refusal})")
        return self._loop(step, batch_size, False)(self.samples.arrays, order, begin, count)

    def _step(self) -> Any:
        take_step = getattr(self.model, f"{self.kind}_step")

        def step(indices: Any, data: Any) -> Any:
            return take_step(keras.tree.map_structure(lambda a: tf.gather(a, indices), data))

        def trace() -> Any:
            return tf.function(step, autograph=False).get_concrete_function(*self.signature)

        return self._once(("step",), trace)

    def _loop(self, step: Any, batch_size: int, jit_compile: bool) -> Any:
        def loop(data: Any, order: Any, begin: int, count: Any) -> Any:
            def body(number: Any, _: Any) -> Any:
                # Not a slice: XLA takes its start for a constant, and compiles anew for each one.
                first = begin + number * batch_size
                indices = tf.gather(order, first + tf.range(batch_size))
                return number + 1, step(indices, data)

            no_logs = keras.tree.map_structure(
                lambda log: tf.zeros(log.shape, log.dtype), step.structured_outputs
            )
            # One step at a time: each reads the weights that the one before it wrote.
            return tf.while_loop(
                lambda number, _: number < count, body, (0, no_logs), parallel_iterations=1
            )[1]

        def trace() -> Any:
            # By hand, or TensorFlow would warn that many models are many traces.
            order, number = (
                tf.TensorSpec([self.samples.count], tf.int32),
                tf.TensorSpec([], tf.int32),
            )
            return tf.function(
                loop, autograph=False, jit_compile=jit_compile
            ).get_concrete_function(self.signature[1], order, number, number)

        return self._once(("loop", batch_size, jit_compile), trace)

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what `make()` made the first time, as long as its traces still hold."""
        getattr(self.model, f"make_{self.kind}_function")()
        made = vars(getattr(self.model, f"{self.kind}_function")).setdefault("keras_lottery", {})
        # A constraint is read while tracing, so another one needs another trace. They are kept
        # beside the key, since the identity of a dead object may be given to a new one.
        constraints = [variable.constraint for variable in self.model.trainable_variables]
        key = (*key, self.key, *map(id, constraints))
        if key not in made:
            made[key] = make(), constraints
        return made[key][0]


def _operations(graph: Any) -> set[str]:
    """Names of all operations in a graph and in the functions that it calls."""
    definition = graph.as_graph_def()
    called = [node for function in definition.library.function for node in function.node_def]
    return {node.op for node in [*definition.node, *called]}
