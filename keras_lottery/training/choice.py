"""Chooses how a model is trained: by a rule over model, data and device, never by a timing.

The same model on the same device is trained the same way in every run, so two runs of one command
end in the same weights.
"""

from collections.abc import Collection
from dataclasses import dataclass

import keras

# On a CPU, XLA's kernels for these are slower than TensorFlow's own: in a loop of steps one of
# Conv-2 took 14 s against 0.12, one of a dense network with Dropout 9.7 ms against 4.4. To time it:
# `python -m experiments.benchmark_training --table=rule`.
SLOW_IN_XLA_ON_CPU = frozenset(
    [
        "Conv2D",
        "Conv3D",
        "DepthwiseConv2dNative",
        "MaxPool",
        "MaxPool3D",
        "StatelessRandomNormalV2",
        "StatelessRandomUniformIntV2",
        "StatelessRandomUniformV2",
        "StatelessTruncatedNormalV2",
    ]
)

# XLA takes about a second to compile a step, and saves about a millisecond at each.
XLA_PAYS_FROM = 1000


@dataclass(frozen=True)
class Choice:
    """The way a model is trained, and the reason.

    Args:
        path: `"xla"`, many steps in one call compiled by XLA; `"graph"`, the same with
            TensorFlow's own kernels; `"scan"`, the same on JAX; `"plain"`, ordinary `model.fit`.
        reason: One clause that says why.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        ways = {
            "xla": "fused steps, compiled by XLA",
            "graph": "fused steps, in TensorFlow's own kernels",
            "scan": "fused steps, in one loop of JAX",
            "plain": "ordinary model.fit",
        }
        return f"Training by {ways[self.path]}: {self.reason}."


def obstacle(
    model: keras.Model, methods: Collection[str] = ("fit", "make_train_function")
) -> str | None:
    """Return why the steps of a model cannot be fused, as one clause, or `None` if they can.

    Args:
        model: Any model.
        methods: Methods that fused steps replace; a model with its own version is not fused.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
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
    if backend == "jax" and not model.jit_compile:
        return "the model has jit_compile=False"
    for method in methods:
        if getattr(type(model), method) is not getattr(keras.Model, method):
            return f"the model has its own {method}"
    if keras.distribution.distribution() is not None:
        return f"training is distributed by {type(keras.distribution.distribution()).__name__}"
    if backend == "tensorflow" and _has_strategy(model):
        return f"training is distributed by {type(model.distribute_strategy).__name__}"
    return None


def tensorflow_choice(
    operations: Collection[str], steps: int, jit_compile: bool | str, on_cpu: bool
) -> Choice:
    """Choose the faster way to fuse, by the operations in one training step.

    Args:
        operations: The TensorFlow operations in one training step, by name.
        steps: Number of steps of the whole training.
        jit_compile: Whether to compile by XLA, or `"auto"`.
        on_cpu: Whether there is no accelerator.

    >>> tensorflow_choice(["MatMul", "Relu"], 5000, jit_compile="auto", on_cpu=True).path
    'xla'
    >>> print(tensorflow_choice(["Conv2D", "Relu"], 5000, jit_compile="auto", on_cpu=True))
    Training by fused steps, in TensorFlow's own kernels: XLA is slower at Conv2D on a CPU.
    """
    if jit_compile != "auto":
        return Choice("xla" if jit_compile else "graph", f"jit_compile={jit_compile}")
    if not on_cpu:
        return Choice("graph", "the model has jit_compile=False, on an accelerator")
    slow = sorted(SLOW_IN_XLA_ON_CPU.intersection(operations))
    if slow:
        return Choice("graph", f"XLA is slower at {', '.join(slow)} on a CPU")
    if steps < XLA_PAYS_FROM:
        return Choice("graph", f"too few steps ({steps:,}) for XLA's compilation to pay")
    return Choice("xla", "no operation in its step is slower that way")


def _has_strategy(model: keras.Model) -> bool:
    import tensorflow as tf

    default = not tf.distribute.has_strategy() and tf.distribute.get_strategy()
    return model.distribute_strategy is not default
