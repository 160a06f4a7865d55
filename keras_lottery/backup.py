"""The state of a `Lottery` in a file, so that interrupted training can go on."""

import pathlib

from keras_lottery import ticket_file, trainers, variables
from keras_lottery.lottery import Lottery
from keras_lottery.snapshot import OptimizerState, Snapshot, State


def save(path: str, lottery: Lottery, epoch: int) -> None:
    """Write the state of a `Lottery` after an epoch, and keep that of the epoch before.

    Two are kept because an interruption may come between this and the backup of the weights.

    Args:
        path: The file. The older one is beside it, with `.previous` added to its name.
        lottery: The `Lottery` to save.
        epoch: How many epochs are trained.
    """
    state = lottery.state
    groups = {
        "held": state.held,
        "previous": state.previous,
        "value": state.point.values,
        **{
            f"{group}{number}": values
            for number, optimizer in enumerate(state.point.optimizers)
            for group, values in (
                ("optimizer", optimizer.values),
                ("averages", optimizer.averages),
            )
        },
    }
    arrays = {
        f"{group}:{name}": value for group, named in groups.items() for name, value in named.items()
    }
    numbers = {"epoch": epoch, "step": state.point.step, "draws": state.draws}
    newest, previous = _files(path)
    if newest.exists():
        newest.replace(previous)
    ticket_file.write(newest, ticket_file.encode(state.masks, arrays, numbers))


def restore(path: str, lottery: Lottery, epoch: int) -> bool:
    """Give a `Lottery` the state that was saved after an epoch.

    Args:
        path: The file.
        lottery: A `Lottery` over a model of the same architecture.
        epoch: How many epochs are trained.

    Returns:
        Whether there was one.

    Raises:
        TicketError: If a file is damaged.
        ValueError: If it is of another architecture, or only of other epochs.
    """
    found = [
        ticket_file.decode(ticket_file.memory_map(file)) for file in _files(path) if file.exists()
    ]
    for masks, arrays, numbers in found:
        if numbers["epoch"] == epoch:
            lottery.load_state(_state(masks, arrays, numbers, lottery))
            return True
    if found:
        raise ValueError(
            f"`backup`={path!r} holds the masks of training up to epoch "
            f"{' or '.join(str(numbers['epoch']) for _, _, numbers in found)}, and training goes "
            f"on from epoch {epoch}. Remove it to begin anew, with the folder of BackupAndRestore."
        )
    return False


def remove(path: str) -> None:
    """Remove the files, if they are there."""
    for file in _files(path):
        file.unlink(missing_ok=True)


def _files(path: str) -> tuple[pathlib.Path, pathlib.Path]:
    return pathlib.Path(path), pathlib.Path(f"{path}.previous")


def _state(masks, arrays, numbers, lottery) -> State:
    def group(prefix):
        return {
            name.removeprefix(f"{prefix}:"): value
            for name, value in arrays.items()
            if name.startswith(f"{prefix}:")
        }

    # Keras may have numbered the layers anew.
    values = group("value")
    names = variables.names_in({name: value.shape for name, value in values.items()}, lottery.model)

    def own(named):
        return {names[name]: value for name, value in named.items()}

    optimizers = [
        OptimizerState(optimizer, group(f"optimizer{number}"), group(f"averages{number}"))
        for number, optimizer in enumerate(trainers.optimizers_of(lottery.model))
    ]
    point = Snapshot(numbers["step"], values, optimizers).renamed(names)
    return State(own(masks), own(group("held")), own(group("previous")), point, numbers["draws"])
