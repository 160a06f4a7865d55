"""The state of a `Lottery` in a file, so that interrupted training can go on."""

import pathlib

from keras_lottery import ticket_file, variables
from keras_lottery.lottery import Lottery
from keras_lottery.snapshot import Snapshot, State


def save(path: str, lottery: Lottery, epoch: int) -> None:
    """Write the state of a `Lottery` after an epoch; an interrupted write leaves the older file.

    Args:
        path: The file.
        lottery: The `Lottery` to save.
        epoch: How many epochs are trained.
    """
    state = lottery.state
    groups = {
        "held": state.held,
        "previous": state.previous,
        "value": state.point.values,
        "optimizer": {str(i): value for i, value in enumerate(state.point.optimizer_values)},
    }
    arrays = {
        f"{group}:{name}": value for group, named in groups.items() for name, value in named.items()
    }
    numbers = {"epoch": epoch, "step": state.point.step, "draws": state.draws}
    ticket_file.write(path, ticket_file.encode(state.masks, arrays, numbers))


def restore(path: str, lottery: Lottery) -> int | None:
    """Give a `Lottery` the state in a file, if there is one.

    Args:
        path: The file.
        lottery: A `Lottery` over a model of the same architecture.

    Returns:
        How many epochs were trained when it was written, or `None` if there is no file.

    Raises:
        TicketError: If the file is damaged.
        ValueError: If it is of another architecture.
    """
    if not pathlib.Path(path).exists():
        return None
    masks, arrays, numbers = ticket_file.decode(ticket_file.memory_map(path))

    def group(prefix):
        return {
            name.removeprefix(f"{prefix}:"): value
            for name, value in arrays.items()
            if name.startswith(f"{prefix}:")
        }

    point = Snapshot(
        numbers["step"],
        group("value"),
        variables.optimizer_of(lottery.model),
        list(group("optimizer").values()),
    )
    lottery.load_state(State(masks, group("held"), group("previous"), point, numbers["draws"]))
    return numbers["epoch"]


def remove(path: str) -> None:
    """Remove the file, if it is there."""
    pathlib.Path(path).unlink(missing_ok=True)
