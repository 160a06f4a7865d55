"""Refuses TensorFlow's distribution over several machines, which Keras' `fit` cannot train.

Keras 3 trains on several devices of one machine under TensorFlow's strategies. Under those for
several machines its `fit` hands the model the values of all devices at once, and fails (issue 20585
of Keras).
"""

import json
import os
from typing import Any

import keras

_ADVICE = (
    "Keras' `fit` fails under it, before the first step. Train on several machines with Keras on "
    "JAX (KERAS_BACKEND=jax): `keras.distribution.initialize()` in each process, then "
    "`keras.distribution.set_distribution(keras.distribution.DataParallel("
    "auto_shard_dataset=False))`; on one machine under `tf.distribute.MirroredStrategy`; or in a "
    "loop of your own."
)


def refuse_cluster() -> None:
    """Refuse a process that is one of several by TensorFlow's `TF_CONFIG`.

    Keras' `fit` fails there before it calls any callback, with a message that names no cause.

    Raises:
        ValueError: If the cluster has parameter servers, or more than one worker.
    """
    if keras.backend.backend() != "tensorflow":
        return
    try:
        cluster = dict(json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {}))
    except (AttributeError, TypeError, ValueError):
        return  # TensorFlow says what is wrong with it.
    if cluster.get("ps"):
        raise ValueError(f"TF_CONFIG asks for ParameterServerStrategy. {_ADVICE}")
    workers = sum(len(cluster.get(task, ())) for task in ("chief", "worker"))
    if workers > 1:
        raise ValueError(
            f"TF_CONFIG asks for MultiWorkerMirroredStrategy with {workers} workers. {_ADVICE}"
        )


def refuse_workers(model: keras.Model) -> None:
    """Refuse a model that TensorFlow distributes over several workers.

    `MultiWorkerMirroredStrategy` with a single worker is not refused: that trains.

    Args:
        model: Any model. What a `fit` of its own can do is not known here.

    Raises:
        ValueError: If it was built under `ParameterServerStrategy`, or under
            `MultiWorkerMirroredStrategy` with more than one worker.
    """
    strategy = getattr(model, "distribute_strategy", None)
    # By their names, as TensorFlow may not be imported here; the second is a name within it.
    kinds = {kind.__name__ for kind in type(strategy).__mro__}
    if kinds & {"ParameterServerStrategy", "ParameterServerStrategyV2"}:
        raise ValueError(f"{model.name!r} was built under ParameterServerStrategy. {_ADVICE}")
    if kinds & {"MultiWorkerMirroredStrategy", "CollectiveAllReduceStrategy"}:
        workers = _workers(strategy)
        if workers > 1:
            raise ValueError(
                f"{model.name!r} was built under MultiWorkerMirroredStrategy with {workers} "
                f"workers. {_ADVICE}"
            )


def _workers(strategy: Any) -> int:
    """The machines that compute; a cluster may have others, which evaluate or hold parameters."""
    resolver = strategy.cluster_resolver
    cluster = None if resolver is None else resolver.cluster_spec()
    if cluster is None:
        return 0
    return sum(cluster.num_tasks(job) for job in cluster.jobs if job in ("chief", "worker"))
