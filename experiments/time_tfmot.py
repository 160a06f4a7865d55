"""Times a training step with tfmot's masks on tf_keras; `benchmark_training` runs it.

  python -m experiments.time_tfmot '{"network": "lenet_300_100", "batch_size": 60, "steps": 900,
      "epochs": 2, "repeats": 5}'

tfmot accepts tf_keras models only, and importing it sets an environment variable that makes
TensorFlow use tf_keras everywhere, so this needs a process of its own.
"""

import json
import sys
import time

import numpy as np


def main(network, batch_size, steps, epochs, repeats):
    """Prints microseconds a step, without and with tfmot's masks, as JSON."""
    from keras_lottery.commands import quiet

    quiet.import_tensorflow()
    import tensorflow_model_optimization as tfmot

    schedule = tfmot.sparsity.keras.ConstantSparsity(0.8, begin_step=0, end_step=0, frequency=1)
    rng = np.random.default_rng(0)
    shape = (28, 28, 1) if network == "lenet_300_100" else (32, 32, 3)
    x = rng.random((steps * batch_size, *shape), np.float32)
    y = rng.integers(0, 10, len(x))
    dense = _model(network, shape)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(_model(network, shape), schedule)
    ways = {
        "tf_keras fit": (_compiled(dense), []),
        "prune_low_magnitude": (_compiled(pruned), [tfmot.sparsity.keras.UpdatePruningStep()]),
    }
    times = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, (model, callbacks) in ways.items():
            begin = time.perf_counter()
            model.fit(x, y, batch_size, epochs, verbose=0, callbacks=callbacks)
            if turn:  # The first one compiles.
                times[name].append((time.perf_counter() - begin) * 1e6 / (epochs * steps))
    print(json.dumps(times))


def _model(network, shape):
    """LeNet-300-100 or Conv-4, as in `experiments.networks`, for tf_keras."""
    from tf_keras import Sequential, layers

    convolutions, widths = [], [300, 100]
    if network == "conv4":
        widths = [256, 256]
        for width in (64, 64, 128, 128):
            convolutions.append(layers.Conv2D(width, 3, padding="same", activation="relu"))
        convolutions.insert(2, layers.MaxPooling2D())
        convolutions.append(layers.MaxPooling2D())
    elif network != "lenet_300_100":
        raise ValueError(f"No network {network!r} for tfmot; there are lenet_300_100, conv4.")
    dense = [layers.Dense(width, "relu") for width in widths]
    model = Sequential([*convolutions, layers.Flatten(), *dense, layers.Dense(10)])
    model.build((None, *shape))
    return model


def _compiled(model):
    import tf_keras

    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
