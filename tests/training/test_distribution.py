"""What Keras' `fit` cannot train is refused by name, and what it can is not."""

import json
import os
import socket
import subprocess
import sys
import types

import keras
import pytest

from keras_lottery.training.distribution import refuse_cluster, refuse_workers


def strategy_of(kind, jobs=None):
    """An object of a class of this name, over a cluster with so many tasks by job."""
    cluster = types.SimpleNamespace(jobs=list(jobs or {}), num_tasks=(jobs or {}).get)
    resolver = types.SimpleNamespace(cluster_spec=lambda: cluster)
    return type(kind, (), {"cluster_resolver": resolver if jobs is not None else None})()


def model_under(strategy):
    return types.SimpleNamespace(name="net", distribute_strategy=strategy)


@pytest.mark.parametrize(
    "strategy, said",
    [
        (strategy_of("ParameterServerStrategyV2", {"worker": 1, "ps": 1}), "ParameterServerStr"),
        (strategy_of("CollectiveAllReduceStrategy", {"worker": 3}), "Strategy with 3 workers"),
        (
            strategy_of("CollectiveAllReduceStrategy", {"chief": 1, "worker": 1, "evaluator": 1}),
            "Strategy with 2 workers",
        ),
    ],
)
def test_several_workers_are_refused(strategy, said):
    with pytest.raises(ValueError, match=f"'net' was built under .*{said}.*DataParallel"):
        refuse_workers(model_under(strategy))


@pytest.mark.parametrize(
    "strategy",
    [
        None,
        strategy_of("MirroredStrategy"),
        strategy_of("CollectiveAllReduceStrategy"),
        strategy_of("CollectiveAllReduceStrategy", {}),
        strategy_of("CollectiveAllReduceStrategy", {"worker": 1, "evaluator": 1}),
    ],
)
def test_one_machine_is_not_refused(strategy):
    refuse_workers(model_under(strategy))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TF_CONFIG is TensorFlow's")
@pytest.mark.parametrize(
    "cluster, said",
    [
        ({"worker": ["a:1", "b:1"]}, "MultiWorkerMirroredStrategy with 2 workers"),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "MultiWorkerMirroredStrategy with 2 workers"),
        ({"worker": ["a:1"], "ps": ["b:1"]}, "ParameterServerStrategy"),
    ],
)
def test_a_cluster_is_refused(monkeypatch, cluster, said):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    with pytest.raises(ValueError, match=f"TF_CONFIG asks for {said}.*DataParallel"):
        refuse_cluster()


@pytest.mark.parametrize("config", ["{}", "", "[]", '{"cluster": {"worker": ["a:1"]}}'])
def test_a_cluster_of_one_is_not_refused(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    refuse_cluster()


def test_a_model_of_any_backend_is_asked():
    refuse_workers(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


WORKER = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tensorflow as tf
import keras_lottery as kl
with tf.distribute.MultiWorkerMirroredStrategy().scope():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)], name="net")
    model.compile("sgd", "mse")
try:
    kl.fit(model, np.ones((64, 6)), np.ones((64, 1)), verbose=0)
except ValueError as error:
    print(error, flush=True)
os._exit(0)
"""


@pytest.mark.long
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's strategies")
def test_two_workers_of_tensorflow():
    with socket.socket() as one, socket.socket() as two:
        one.bind(("localhost", 0))
        two.bind(("localhost", 0))
        hosts = [f"localhost:{s.getsockname()[1]}" for s in (one, two)]
    workers = []
    for index in (0, 1):
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        command = [sys.executable, "-c", WORKER]
        workers.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        )
    for worker in workers:
        output, _ = worker.communicate(timeout=200)
        assert "'net' was built under MultiWorkerMirroredStrategy with 2 workers" in output
