"""What Keras' `fit` cannot do on several machines is refused by name."""

import json

import pytest

import keras_lottery as kl
from keras_lottery import distributed, schedules

WAY = "Keras on JAX.*keras.distribution"


@pytest.mark.parametrize(
    "cluster, name",
    [
        ({"worker": ["a:1", "b:1"]}, "MultiWorkerMirroredStrategy"),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "MultiWorkerMirroredStrategy"),
        ({"worker": ["a:1"], "ps": ["b:1"]}, "ParameterServerStrategy"),
    ],
)
def test_a_cluster_is_refused(monkeypatch, cluster, name):
    """Before `fit`, which fails there before it calls any callback."""
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    with pytest.raises(ValueError, match=f"cannot `fit` under {name}.*{WAY}"):
        kl.Prune(schedules.constant(0.5))


@pytest.mark.parametrize("config", ["{}", "", "[]", '{"cluster": {"worker": ["a:1"]}}'])
def test_a_single_worker_is_not(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    kl.Prune(schedules.constant(0.5))


@pytest.mark.parametrize(
    "name, workers, refused",
    [
        ("CollectiveAllReduceStrategy", 2, "MultiWorkerMirroredStrategy"),
        ("CollectiveAllReduceStrategy", 1, None),
        ("ParameterServerStrategyV2", 1, "ParameterServerStrategy"),
        ("MirroredStrategy", 1, None),
    ],
)
def test_a_strategy_is_refused(name, workers, refused):
    class Extended:
        _num_workers = workers

    class Model:
        distribute_strategy = type(name, (), {"extended": Extended()})()

    if refused is None:
        distributed.refuse_strategy(Model())
        return
    with pytest.raises(ValueError, match=f"cannot `fit` under {refused}.*{WAY}"):
        distributed.refuse_strategy(Model())
