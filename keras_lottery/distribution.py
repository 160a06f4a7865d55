"""`refuse_workers(model)`: what is distributed in a way that Keras' own `fit` cannot train.

Keras 3 trains on several devices of one machine under TensorFlow's strategies. Of those over
several machines its `fit` hands the values of all devices to the model unopened, and fails (Keras'
issue 20585).
"""

import keras

_ADVICE = (
    "Keras' `fit` fails under it, before the first step. Train on several machines with Keras on "
    "JAX (`keras.distribution.initialize` and `keras.distribution.DataParallel`), on one machine "
    "under `tf.distribute.MirroredStrategy`, or in a loop of your own."
)


def refuse_workers(model: keras.Model) -> None:
    """Raise a `ValueError` if a model is distributed over several workers by TensorFlow.

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


def _workers(strategy) -> int:
    """The machines that compute; a cluster may have others, which evaluate or hold parameters."""
    resolver = strategy.cluster_resolver
    cluster = None if resolver is None else resolver.cluster_spec()
    jobs = [] if cluster is None else cluster.jobs
    return sum(cluster.num_tasks(job) for job in jobs if job in ("chief", "worker"))
