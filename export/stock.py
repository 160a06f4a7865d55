"""TensorFlow's own ways to a sparse .tflite file: `convert(model, mode) -> bytes`."""

import contextlib
import os
import warnings

from keras_lottery.core import silence

SPARSE_MODES = ("float32", "float16", "dynamic int8", "int8")


def convert(model, mode, samples=None, sparse=True):
    """Converts a Keras model as TensorFlow's documentation says.

    Args:
        model: A built `keras.Model`.
        mode: One of `SPARSE_MODES`.
        samples: Real inputs to calibrate `"int8"` on.
        sparse: Whether to ask for `Optimize.EXPERIMENTAL_SPARSITY`.

    Returns:
        The file's bytes. A runtime may not be able to load them.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
    if mode != "float32":
        converter.optimizations.append(tf.lite.Optimize.DEFAULT)
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode == "int8":
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
    with _silence():
        return converter.convert()


@contextlib.contextmanager
def _silence():
    """Holds back what the converter says, from Python and from C++: not the user's business."""
    with (
        silence.silenced(silence.every_line),
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(action="ignore"),
    ):
        yield
