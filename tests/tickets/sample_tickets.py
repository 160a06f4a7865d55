"""Tickets and the models they belong to."""

from pathlib import Path

import keras
import ml_dtypes
import numpy as np

from keras_lottery.masks.lottery import Lottery
from keras_lottery.tickets import file as ticket_file
from keras_lottery.tickets.ticket import Ticket

GOLDEN = Path(__file__).parent / "golden" / "ticket_v1.ticket"


def golden_ticket():
    """What `golden/ticket_v1.ticket` holds. Never change it: old files must load for ever."""
    return Ticket(
        masks={
            "fc1/kernel": np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]], bool),
            "output/kernel": np.array([[1, 1], [0, 1], [1, 0]], bool),
        },
        values={
            "fc1/kernel": np.arange(12, dtype="float32").reshape(4, 3) / 8 - 0.5,
            "fc1/bias": np.array([0.5, -0.0, np.inf], "float16"),
            "output/kernel": np.array([[1, 2], [3, 4], [5, 6]], ml_dtypes.bfloat16),
            "dropout/seed_generator/seed": np.array([7, 4_000_000_000], "uint32"),
            "count": np.array(3, "int64"),
        },
        metadata={
            "criterion": "large_final",
            "rounds": 2,
            "history": [{"accuracy": 0.75, "loss": None}],
            "note": "Größe",
        },
    )


def encoded(ticket):
    return ticket_file.encode(ticket.masks, ticket.values, ticket.metadata)


def assert_same(one, other):
    """Equal to the last bit, in the same order."""
    for ours, theirs in ((one.masks, other.masks), (one.values, other.values)):
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype, name
            assert ours[name].shape == theirs[name].shape, name
            assert ours[name].tobytes() == theirs[name].tobytes(), name
    assert one.metadata == other.metadata


def model_of(units=3, name="fc1", seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units, name=name, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, name="output"),
        ]
    )


def ticket_of(model, seed=0):
    rng = np.random.default_rng(seed)
    lottery = Lottery(model)
    lottery.set_masks({name: rng.random(mask.shape) < 0.5 for name, mask in lottery.masks.items()})
    lottery.detach()
    return Ticket(lottery.masks, lottery.state.point.values, {"seed": seed})
