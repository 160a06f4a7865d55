"""Signs: those of a ticket and those that training has turned."""

import keras
import numpy as np
import pytest
from sample_tickets import model_of, ticket_of

from keras_lottery.masks.lottery import Lottery
from keras_lottery.tickets.ticket import Ticket, TicketError


def test_signs_that_training_has_turned():
    model = model_of()
    lottery = Lottery(model)
    lottery.prune(0.5)
    name = lottery.names[0]
    kernel = next(v for v in model.variables if v.path.endswith(name))
    start = lottery.state.point.values[name]
    alive = np.flatnonzero(lottery.masks[name])
    trained = keras.ops.convert_to_numpy(kernel).copy()
    trained.ravel()[alive[:2]] *= -3
    kernel.assign(trained)
    assert lottery.sign_flips[name] == pytest.approx(2 / alive.size)
    plain, signed = Ticket.of(lottery), Ticket.of(lottery, trained_signs=True)
    np.testing.assert_array_equal(plain.values[name], start)
    expected = start.copy()
    expected.ravel()[alive[:2]] *= -1
    np.testing.assert_array_equal(signed.values[name], expected)
    assert signed.metadata["signs"] == "trained" and "signs" not in plain.metadata
    line = plain.compare_signs(signed)[0]
    assert (line.both, line.alike) == (alive.size, alive.size - 2)


def test_signs_of_other_architectures():
    with pytest.raises(TicketError, match="do not fit each other"):
        ticket_of(model_of()).compare_signs(
            ticket_of(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
        )
