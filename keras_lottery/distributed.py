"""Training on several machines: what Keras' `fit` cannot do, told by name."""

import json
import os

import keras

_FAILING = {
    "CollectiveAllReduceStrategy": "MultiWorkerMirroredStrategy",
    "MultiWorkerMirroredStrategy": "MultiWorkerMirroredStrategy",
    "ParameterServerStrategyV2": "ParameterServerStrategy",
    "ParameterServerStrategy": "ParameterServerStrategy",
}


def refuse_cluster() -> None:
    """Raise a `ValueError` in a process that TensorFlow's `TF_CONFIG` makes one of several.

    Keras 3 fails there before it calls any callback, with a message that names no cause.
    """
    if keras.backend.backend() != "tensorflow":
        return
    try:
        cluster = dict(json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {}))
    except (AttributeError, TypeError, ValueError):
        return  # TensorFlow says what is wrong with it.
    if cluster.get("ps"):
        raise ValueError(_message("ParameterServerStrategy"))
    if sum(len(cluster.get(task, ())) for task in ("chief", "worker")) > 1:
        raise ValueError(_message("MultiWorkerMirroredStrategy"))


def refuse_strategy(model: keras.Model) -> None:
    """Raise a `ValueError` if a model is trained by a strategy under which `fit` fails."""
    strategy = getattr(model, "distribute_strategy", None)
    name = _FAILING.get(type(strategy).__name__)
    # With a single worker it is a MirroredStrategy, which Keras serves.
    workers = getattr(getattr(strategy, "extended", None), "_num_workers", 1)
    if name == "ParameterServerStrategy" or (name and workers > 1):
        raise ValueError(_message(name))


def _message(strategy: str) -> str:
    return (
        f"Keras 3 cannot `fit` under {strategy}. To train on several machines use Keras on JAX "
        "(KERAS_BACKEND=jax): keras.distribution.initialize() in each process, then "
        "keras.distribution.set_distribution(keras.distribution.DataParallel("
        "auto_shard_dataset=False)); `Prune` works there. On TensorFlow, write the training loop "
        "yourself and prune with `Lottery`."
    )
