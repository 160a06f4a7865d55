"""A chunk of training steps as one TensorFlow call: a loop over Keras' own `train_step`.

The data stays in memory as tensors; the loop's body gathers a batch by its indices, so neither
Python nor an input pipeline is touched between two steps.
"""

import keras
import tensorflow as tf


class Steps:
    """Compiled training steps of one model over one set of samples.

    Everything traced is kept on Keras' own `model.train_function`, so it lives as long: compiling
    the model anew, or `make_train_function(force=True)`, drops it, and repeated trainings of one
    model trace and compile once.

    Args:
        model: compiled `keras.Model` with Keras' own `make_train_function`.
        samples: `data.Samples`.
    """

    def __init__(self, model, samples):
        self.model = model
        self.samples = samples
        self.data = keras.tree.map_structure(tf.constant, samples.arrays)
        self.refusal = None
        self.xla = False

    def operations(self):
        """Names of the TensorFlow operations in one training step, as a set."""
        graph = self._step(min(self.samples.batch_size, self.samples.count)).graph
        definition = graph.as_graph_def()
        nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
        return {node.op for node in nodes}

    def start_epoch(self, epoch):
        """The function that does steps `first` to `last` (exclusive) of `epoch`."""
        order = tf.constant(self.samples.order(epoch))
        whole, rest = divmod(self.samples.count, self.samples.batch_size)

        def run(first, last):
            if first < min(last, whole):
                logs = self._run(self.samples.batch_size, order, first, min(last, whole))
            if last > whole:
                # The last batch is smaller, so it has a loop of its own: of one step, over an
                # order that begins with its samples.
                logs = self._run(rest, order[-rest:], 0, 1)
            return logs

        return run

    def _run(self, batch_size, order, first, last):
        first, last = tf.constant(first), tf.constant(last)
        if self.xla:
            try:
                return self._loop(batch_size, xla=True)(self.data, order, first, last)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
                # XLA compiles the whole chunk before it runs any of it: no weight has changed.
                self.xla = False
                self.refusal = error.message
        return self._loop(batch_size, xla=False)(self.data, order, first, last)

    def _step(self, batch_size):
        model, data = self.model, keras.tree.map_structure(tf.TensorSpec.from_tensor, self.data)

        def step(indices, data):
            return model.train_step(
                keras.tree.map_structure(lambda array: tf.gather(array, indices), data)
            )

        def trace():
            indices = tf.TensorSpec([batch_size], tf.int32)
            return tf.function(step, autograph=False).get_concrete_function(indices, data)

        return self._once(("step", batch_size), trace)

    def _loop(self, batch_size, xla):
        step = self._step(batch_size)

        def loop(data, order, first, last):
            def body(number, _):
                return number + 1, step(tf.slice(order, [number * batch_size], [batch_size]), data)

            no_logs = keras.tree.map_structure(
                lambda log: tf.zeros(log.shape, log.dtype), step.structured_outputs
            )
            return tf.while_loop(
                lambda number, _: number < last, body, (first, no_logs), parallel_iterations=1
            )[1]

        return self._once(
            ("loop", batch_size, xla), lambda: tf.function(loop, autograph=False, jit_compile=xla)
        )

    def _once(self, key, make):
        """What `make()` made the first time, as long as what it traced still holds."""
        self.model.make_train_function()
        made = self.model.train_function.__dict__.setdefault("keras_lottery", {})
        # A variable's constraint is read while tracing, so another one needs another trace. The
        # constraints are kept beside the key: the identity of a dead object may be given away.
        constraints = [variable.constraint for variable in self.model.trainable_variables]
        shapes = keras.tree.map_structure(tf.TensorSpec.from_tensor, self.data)
        key = (*key, repr(shapes), *map(id, constraints))
        if key not in made:
            made[key] = make(), constraints
        return made[key][0]
