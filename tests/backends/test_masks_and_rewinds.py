"""Pruning and rewinding within a training and between two, on every backend.

`KERAS_BACKEND=jax pytest tests/backends` runs the same on JAX, and likewise on torch.
"""

import keras
import numpy as np
import pytest
from watch import OPTIMIZERS, assert_held

import keras_lottery as kl
from keras_lottery import schedules


def test_pruning_in_mid_epoch(make_model, data):
    model = make_model("adam")
    prune = kl.Prune(schedules.constant(0.5, begin=3), unit="step", rewind=kl.rewind.to_step(2))
    model.fit(*data, batch_size=12, verbose=0, callbacks=[prune])
    assert int(model.optimizer.iterations) == 6  # of seven steps the third was done twice
    assert_held(prune.lottery)
    assert prune.lottery.alive_counts == {"fc1/kernel": 24, "output/kernel": 16}


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_rewinding_within_fit(make_model, data, unit):
    """A rewind to a point during training, also in the middle of an epoch."""
    model = make_model("adam")
    at = 1 if unit == "epoch" else 4
    seen = {}

    class Remember(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            step = int(self.model.optimizer.iterations)
            seen.setdefault(step, []).append(self.model.get_weights())

    prune = kl.Prune(
        schedules.constant(0.5, begin=2 if unit == "epoch" else 11),
        rewind=kl.rewind.to_epoch(at) if unit == "epoch" else kl.rewind.to_step(at),
        unit=unit,
    )
    model.fit(
        *data, batch_size=12, epochs=3, shuffle=False, verbose=0, callbacks=[prune, Remember()]
    )
    point = prune.lottery.state.point
    assert point.step == (7 if unit == "epoch" else 4)
    saved = seen[point.step][0]
    for value, weights in zip(
        (v for n, v in point.values.items() if "seed" not in n), saved, strict=True
    ):
        np.testing.assert_array_equal(value, weights)
    # The iteration count went back: the steps after the point were done twice.
    assert len(seen[point.step + 1]) == 2
    assert max(seen) == (14 if unit == "epoch" else 21 - 7)
    assert_held(prune.lottery)
    assert prune.lottery.alive_counts == {"fc1/kernel": 24, "output/kernel": 16}


@pytest.mark.long
def test_rounds_rewind_everything(make_model, data):
    starts, rounds = [], []
    for r in kl.rounds(lambda: make_model(OPTIMIZERS["momentum"]()), count=2, rate=0.5):
        start = r.ticket.values
        starts.append(start)
        for name, mask in r.ticket.masks.items():
            now = keras.ops.convert_to_numpy(kl.Lottery.on(r.model)._kernels[name])
            np.testing.assert_array_equal(now, mask * start[name])
        assert all(
            not np.any(keras.ops.convert_to_numpy(v))
            for v in r.model.optimizer.variables
            if "mask" not in v.name and "learning_rate" not in v.name
        )
        r.model.fit(*data, batch_size=12, verbose=0, callbacks=r.callbacks)
        rounds.append(r)
    assert [r.alive_counts for r in rounds] == [
        {"fc1/kernel": 48, "output/kernel": 32},
        {"fc1/kernel": 24, "output/kernel": 16},
        {"fc1/kernel": 12, "output/kernel": 8},
    ]
    for kind in ("reinit", "random_mask", "shuffle_layerwise"):
        control = rounds[1].control(kind)
        control.fit(*data, batch_size=12, verbose=0)
        lottery = kl.Lottery.on(control)
        lottery.check()
        assert lottery.alive_counts == rounds[1].alive_counts
