"""The ways of training that `benchmark_training` compares.

Each is a function `(model, x, y, batch_size, epochs) -> run`; `run()` trains the compiled model
for that many epochs, and returns how `kl.fit` fused the steps, or nothing.
"""

import keras
import tensorflow as tf

import keras_lottery as kl
from keras_lottery.training import fit

# The sparsity of the masked ways; what a masked step costs does not depend on it.
_SPARSITY = 0.8


def plain_fit(model, x, y, batch_size, epochs):
    """`model.fit` over arrays."""
    return lambda: _silent(model.fit, x, y, batch_size, epochs)


def fit_100_steps(model, x, y, batch_size, epochs):
    """`model.fit` with `steps_per_execution=100`."""
    model.steps_per_execution = 100
    return plain_fit(model, x, y, batch_size, epochs)


def kl_fit(model, x, y, batch_size, epochs):
    """`kl.fit`, choosing by itself how to train."""

    def run():
        history = fit(model, x, y, batch_size=batch_size, epochs=epochs, verbose=0)
        return history.params["fused"]

    return run


def kl_fit_by_xla(model, x, y, batch_size, epochs):
    """`kl.fit`, told to compile by XLA."""
    return lambda: _forced(model, x, y, batch_size, epochs, jit_compile=True)


def kl_fit_by_graph(model, x, y, batch_size, epochs):
    """`kl.fit`, told to use TensorFlow's own kernels."""
    return lambda: _forced(model, x, y, batch_size, epochs, jit_compile=False)


def chosen(model, x, y, batch_size):
    """Return the way that `kl.fit` chooses for a long training of a model, and the reason."""
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(model, "stop_training", True)
    )
    arguments = {"batch_size": batch_size, "epochs": 1_000_000, "chunk": 1, "verbose": 0}
    params = fit(model, x, y, callbacks=[stop], **arguments).params
    return params["fused"], params["fused_reason"]


def kl_fit_masked(model, x, y, batch_size, epochs):
    """`kl.fit` of a pruned model."""
    kl.Lottery(model).prune(_SPARSITY)
    return kl_fit(model, x, y, batch_size, epochs)


def kl_fit_weights_masked(model, x, y, batch_size, epochs):
    """`kl.fit` where the update is masked, and the gradient is not."""
    _mask_weights_alone(model)
    return kl_fit(model, x, y, batch_size, epochs)


def fit_masked(model, x, y, batch_size, epochs):
    """`model.fit` of a pruned model."""
    kl.Lottery(model).prune(_SPARSITY)
    return plain_fit(model, x, y, batch_size, epochs)


def fit_weights_masked(model, x, y, batch_size, epochs):
    """`model.fit` where the update is masked, and the gradient is not."""
    _mask_weights_alone(model)
    return plain_fit(model, x, y, batch_size, epochs)


def fit_masked_by_callback(model, x, y, batch_size, epochs):
    """`model.fit`, and after every batch Python multiplies the kernels by their masks."""
    pairs = [(kernel, tf.constant(mask)) for kernel, mask in _pruned(model)]

    def mask(batch, logs):
        for kernel, alive in pairs:
            kernel.assign(tf.where(alive, kernel.value, 0.0))

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=mask)
    return lambda: _silent(model.fit, x, y, batch_size, epochs, [callback])


def hand_written(model, x, y, batch_size, epochs):
    """A `tf.while_loop` over the steps, written for this one model: no metrics, no callbacks."""
    x, y = tf.constant(x), tf.constant(y)
    steps = len(x) // batch_size
    loss_function, optimizer = model.loss, model.optimizer
    optimizer.build(model.trainable_variables)
    convolutional = any(isinstance(layer, keras.layers.Conv2D) for layer in model.layers)

    @tf.function(autograph=False, jit_compile=not convolutional)
    def train(order):
        def step(number):
            indices = tf.slice(order, [number * batch_size], [batch_size])
            with tf.GradientTape() as tape:
                outputs = model(tf.gather(x, indices), training=True)
                loss = loss_function(tf.gather(y, indices), outputs)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            return number + 1

        tf.while_loop(lambda number: number < steps, step, [0], parallel_iterations=1)

    def run():
        for _ in range(epochs):
            train(tf.random.shuffle(tf.range(len(x))))

    return run


class _Masked(keras.constraints.Constraint):
    """Multiplies a kernel by its mask: what a step of a pruned model does least."""

    def __init__(self, kernel, mask):
        self.alive = keras.Variable(mask, kernel.dtype, trainable=False)

    def __call__(self, kernel):
        return kernel * self.alive


def _mask_weights_alone(model):
    for kernel, mask in _pruned(model):
        kernel.constraint = _Masked(kernel, mask)


def _pruned(model):
    """Each kernel and its mask, of a model that was pruned and has its masks no more."""
    lottery = kl.Lottery(model)
    lottery.prune(_SPARSITY)
    masks = lottery.masks
    lottery.detach()
    kernels = kl.model.variables.named(model)
    return [(kernels[name], mask) for name, mask in masks.items()]


def _forced(model, x, y, batch_size, epochs, jit_compile):
    fit(model, x, y, batch_size=batch_size, epochs=epochs, verbose=0, jit_compile=jit_compile)


def _silent(train, x, y, batch_size, epochs, callbacks=None):
    train(x, y, batch_size=batch_size, epochs=epochs, callbacks=callbacks, verbose=0)
