"""A script that writes the .tflite file of TensorFlow Model Optimization's documented route.

    tfmot_route.py NETWORK.json WEIGHTS.npz OUTPUT.tflite

It is its own process: importing tfmot turns the whole process to Keras 2. NETWORK.json lists the
layers of a sequential network as `[class, config]`; WEIGHTS.npz has its arrays in order.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"

# What Keras 2 is told of a layer; the rest are initializers and the like, which weights replace.
_SETTINGS = ("units", "filters", "kernel_size", "pool_size", "strides", "padding", "activation")


def _main(network, weights, output):
    import numpy as np
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras

    with open(network, encoding="utf-8") as file:
        shape, layers = json.load(file)
    model = tf_keras.Sequential([tf_keras.layers.InputLayer(shape)])
    for kind, config in layers:
        settings = {key: config[key] for key in _SETTINGS if key in config}
        model.add(getattr(tf_keras.layers, kind)(**settings))
    with np.load(weights) as arrays:
        model.set_weights([arrays[name] for name in arrays.files])
    schedule = tfmot.sparsity.keras.ConstantSparsity(0.0, begin_step=0, frequency=1)
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    converter = tf.lite.TFLiteConverter.from_keras_model(
        tfmot.sparsity.keras.strip_pruning(wrapped)
    )
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    with open(output, "wb") as file:
        file.write(converter.convert())


if __name__ == "__main__":
    _main(*sys.argv[1:])
