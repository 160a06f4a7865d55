"""Which way a model is trained, and why: a rule over model, data and device, never a timing.

The same model on the same device takes the same way in every run, so two runs of one command
end in the same weights.
"""

from dataclasses import dataclass

import keras

# XLA's kernels for these are slower on a CPU than TensorFlow's own: a training step of Conv-2
# took 129 ms against 54 (experiments/benchmark_training.py).
SLOW_IN_XLA_ON_CPU = frozenset(
    {
        "Conv2D",
        "Conv3D",
        "DepthwiseConv2dNative",
        "MaxPool",
        "MaxPool3D",
        "AvgPool",
        "AvgPool3D",
    }
)


@dataclass(frozen=True)
class Choice:
    """How a model is trained.

    Args:
        path: `"xla"`, one XLA-compiled call for many steps; `"graph"`, the same loop with
            TensorFlow's own kernels; `"scan"`, the same on JAX; `"plain"`, ordinary `model.fit`.
        reason: one clause that says why.
    """

    path: str
    reason: str

    def __str__(self):
        names = {
            "xla": "fused steps, compiled by XLA",
            "graph": "fused steps, TensorFlow's own kernels",
            "scan": "fused steps, one JAX loop",
            "plain": "ordinary model.fit",
        }
        return f"training by {names[self.path]}: {self.reason}"


def obstacle(model):
    """Why the steps of `model` cannot be fused, one clause, or `None` where they can.

    >>> model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(loss="mse", run_eagerly=True)
    >>> obstacle(model)
    'the model runs eagerly'
    """
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        return f"the backend is {backend}"
    if not model.compiled:
        return "the model is not compiled"
    if model.run_eagerly:
        return "the model runs eagerly"
    for method in ("fit", "make_train_function"):
        if getattr(type(model), method) is not getattr(keras.Model, method):
            return f"the model has its own {method}"
    if backend == "tensorflow" and _is_distributed(model):
        return f"the model trains under {type(model.distribute_strategy).__name__}"
    if keras.distribution.distribution() is not None:
        return f"the model trains under {type(keras.distribution.distribution()).__name__}"
    return None


def tensorflow_choice(operations, jit_compile, on_cpu):
    """The faster way to fuse, from what one training step consists of.

    Args:
        operations: set of names of the TensorFlow operations in one training step.
        jit_compile: whether the model was compiled to be compiled by XLA.
        on_cpu: whether there is no accelerator.

    >>> tensorflow_choice({"MatMul", "Relu"}, jit_compile=False, on_cpu=True).path
    'xla'
    >>> tensorflow_choice({"MatMul", "Conv2D"}, jit_compile=False, on_cpu=True).path
    'graph'
    """
    if jit_compile:
        return Choice("xla", "the model has jit_compile=True")
    if not on_cpu:
        return Choice("graph", "Keras decided against XLA on this accelerator")
    slow = sorted(SLOW_IN_XLA_ON_CPU & set(operations))
    if slow:
        return Choice("graph", f"on a CPU, XLA is slower for {', '.join(slow)}")
    return Choice("xla", "nothing in its step is slower in XLA")


def _is_distributed(model):
    import tensorflow as tf

    return tf.distribute.has_strategy() or (
        model.distribute_strategy is not tf.distribute.get_strategy()
    )
