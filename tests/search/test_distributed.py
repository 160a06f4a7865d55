"""What Keras' `fit` cannot do on several machines is refused where `Prune` is made, or begins."""

import json

import keras
import pytest

import keras_lottery as kl
from keras_lottery import schedules

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TF_CONFIG is TensorFlow's"
)


def test_a_cluster_is_refused_before_fit(monkeypatch):
    """Keras fails there before it calls any callback."""
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}}))
    with pytest.raises(ValueError, match=r"MultiWorkerMirroredStrategy with 2 workers.*JAX"):
        kl.Prune(schedules.constant(0.5))
