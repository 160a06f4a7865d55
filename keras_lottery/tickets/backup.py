"""The state of a `Lottery` in a file, so that interrupted training can go on.

Another callback, such as `BackupAndRestore`, saves the weights before or after this: an
interruption may come between the two. So the states after the last two epochs are saved, each with
a digest of the weights that it belongs to. They stay after training: only the user knows that its
result is safe.
"""

import hashlib
import pathlib
from typing import Any

import keras
import numpy as np

from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import State
from keras_lottery.model import trainers, variables
from keras_lottery.tickets import file as ticket_file
from keras_lottery.tickets.snapshot_arrays import arrays_of, group, snapshot_from


def save(path: str, lottery: Lottery, epoch: int, steps: int) -> None:
    """Write the state of a `Lottery` after an epoch, and keep the state of the epoch before.

    Args:
        path: The file. The older one is beside it, with `.previous` added to its name.
        lottery: The `Lottery` to save.
        epoch: The number of epochs that are trained.
        steps: The number of steps in them.
    """
    state = lottery.state
    arrays = arrays_of(state.point)
    arrays |= {f"held:{name}": value for name, value in state.held_values.items()}
    arrays |= {f"previous:{name}": value for name, value in state.previous.items()}
    numbers = {
        "epoch": epoch,
        "steps": steps,
        "step": state.point.step,
        "events": state.events,
        "search": state.search,
        "weights": _digest(lottery),
    }
    newest, previous, finished = _files(path)
    finished.unlink(missing_ok=True)
    if newest.exists():
        newest.replace(previous)
    ticket_file.write(newest, ticket_file.encode(state.masks, arrays, numbers))


def restore(path: str, lottery: Lottery, epoch: int) -> int | None:
    """Give a `Lottery` the state that was saved after an epoch.

    Args:
        path: The file.
        lottery: A `Lottery` over a model of the same architecture, with the weights of that epoch.
        epoch: The number of epochs that are trained.

    Returns:
        The number of steps that are trained, or `None` if there is no file.

    Raises:
        TicketError: If a file is damaged.
        ValueError: If the file is of another architecture or has only other epochs, or the model's
            weights are not those that the state was saved with.
    """
    states = _saved_states(path)
    if not states:
        return None
    file = next(
        (file for file, (_, _, numbers) in states.items() if numbers["epoch"] == epoch), None
    )
    if file is None:
        raise ValueError(
            f"`backup`={path!r} holds the masks of training up to epoch "
            f"{' or '.join(str(n['epoch']) for _, _, n in states.values())}, and training goes "
            f"on from epoch {epoch}: {_anew(path)}."
        )
    masks, arrays, numbers = states[file]
    digest = _digest(lottery)
    if digest != numbers["weights"]:
        raise ValueError(_mismatch(path, epoch, digest, states))
    lottery.load_state(_state(masks, arrays, numbers, lottery))
    newest, _, _ = _files(path)
    if file != newest:
        # The newer one is of an epoch that has to be trained again. The next `save` must find this
        # one in its place, or two interruptions would leave none that fits.
        file.replace(newest)
    return numbers["steps"]


def epoch_of(path: str) -> int | None:
    """The last epoch after which there is a state in the file, or `None` if there is no file."""
    return max((numbers["epoch"] for _, _, numbers in _saved_states(path).values()), default=None)


def mark_finished(path: str) -> None:
    """Note that the training has come to its end. The states stay."""
    newest, _, finished = _files(path)
    if newest.exists():
        finished.touch()


def is_finished(path: str) -> bool:
    """Return whether the training that the file belongs to has come to its end."""
    return _files(path)[2].exists()


def remove(path: str) -> None:
    """Remove the files, if they are there."""
    for file in _files(path):
        file.unlink(missing_ok=True)


def _files(path: str) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """The newest state, the one before, and the mark of a training that has come to its end."""
    return pathlib.Path(path), pathlib.Path(f"{path}.previous"), pathlib.Path(f"{path}.finished")


def _saved_states(path: str) -> dict[pathlib.Path, tuple]:
    newest, previous, _ = _files(path)
    return {
        file: ticket_file.decode(ticket_file.memory_map(file))
        for file in (newest, previous)
        if file.exists()
    }


def _digest(lottery: Lottery) -> str:
    """Return a digest of the kernels, in their order, and of the optimizer's iterations."""
    digest = hashlib.sha256()
    kernels = variables.named(lottery.model)
    for name in lottery.names:
        values = keras.ops.convert_to_numpy(kernels[name])
        digest.update(np.ascontiguousarray(values).tobytes())
    optimizer = variables.optimizer_of(lottery.model)
    if optimizer is not None:
        digest.update(str(trainers.steps_of(optimizer)).encode())
    return digest.hexdigest()


def _mismatch(path: str, epoch: int, digest: str, states: Any) -> str:
    """Why the weights are not those that the masks were saved with, and what to do."""
    other = [n["epoch"] for _, _, n in states.values() if n["weights"] == digest]
    if other:
        return (
            f"Training goes on from epoch {epoch} with the weights of epoch {other[0]}: "
            "BackupAndRestore was interrupted between writing the two. Write "
            f'{{"epoch": {other[0]}, "batch": 0}} into `training_metadata.json` in its folder to '
            f"go on from there, or {_anew(path)}."
        )
    return (
        f"`backup`={path!r} was saved after epoch {epoch} with other weights than the model has "
        f"now. Load the weights of that epoch, or {_anew(path)}; or give no `backup`, and take the "
        "masks from the zeros in the weights: `Lottery.from_zeros(model)`, before `fit`."
    )


def _anew(path: str) -> str:
    files = " and ".join(repr(str(file)) for file in _files(path)[:2] if file.exists())
    return f"remove {files} and the folder of BackupAndRestore to begin anew"


def _state(masks: Any, arrays: Any, numbers: Any, lottery: Lottery) -> State:
    # Keras may have numbered the layers anew.
    point, names = snapshot_from(arrays, numbers["step"], lottery.model)

    def own(named: Any) -> dict[str, Any]:
        return {names[name]: value for name, value in named.items()}

    return State(
        own(masks),
        own(group(arrays, "held")),
        own(group(arrays, "previous")),
        point,
        numbers["events"],
        numbers["search"],
    )
