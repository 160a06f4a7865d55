"""Optuna's storage of a study: made by one process under a lock, joined by all others."""

from __future__ import annotations

import json
import pathlib
import time
import warnings
from typing import Any

from experiments.pieces import locks
from experiments.study.definition import Definition, StudyError

HEARTBEAT = 10  # seconds between two signs of life of a trial
GRACE = 60  # seconds without one, after which the trial is somebody else's
_POINT = "point"  # marks a trial of the grid; what is asked for when the queue is empty has none
_DEFINITION = "definition"
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs")


def optuna() -> Any:
    """Import Optuna, which only studies need.

    Raises:
        StudyError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise StudyError(
            "Studies need Optuna: pip install 'keras_lottery[experiments,study]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Heartbeats, which Optuna has called experimental since version 2.9.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def join(definition: Definition, folder: pathlib.Path, url: str | None) -> Any:
    """Make a study's storage, or join it.

    Args:
        definition: The study.
        folder: Its folder.
        url: A database, as SQLAlchemy writes it; by default a file of SQLite in the folder.

    Returns:
        The Optuna study, whose queue is full.

    Raises:
        StudyError: If the database cannot be reached, or has a study of this name with another
            definition; the message shows the difference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if url is None:
        _refuse_network(folder)
        url = f"sqlite:///{folder / 'study.db'}"
    # One creator: workers that make the tables at once fail, or fill the queue twice.
    lock = folder / ".storage.lock"
    while True:
        with locks.lock(lock) as mine:
            if mine:
                return _made(definition, url)
        time.sleep(0.1)


def _made(definition: Definition, url: str) -> Any:
    optuna_ = optuna()
    from sqlalchemy.pool import NullPool  # Optuna's own

    try:
        storage = optuna_.storages.RDBStorage(
            url,
            # Each use opens a connection and closes it: a trial lasts minutes, and a worker that is
            # stopped or killed holds none.
            engine_kwargs={"poolclass": NullPool},
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=optuna_.storages.RetryHeartbeatStaleTrialCallback(
                inherit_intermediate_values=True
            ),
        )
        study = optuna_.create_study(
            storage=storage,
            study_name=definition.name,
            load_if_exists=True,
            sampler=optuna_.samplers.TPESampler(seed=0),
            pruner=_pruner(definition),
            directions=directions(definition),
        )
    except Exception as error:
        reason = " ".join(str(error).split())
        raise StudyError(f"The database {url} cannot be used: {reason}") from error
    known = study.user_attrs.get(_DEFINITION)
    if known is None:
        for number, point in enumerate(definition.points() if definition.grid else []):
            study.enqueue_trial(point, user_attrs={_POINT: number}, skip_if_exists=True)
        study.set_user_attr(_DEFINITION, json.dumps(definition.to_json()))
    else:
        _refuse_another(definition, json.loads(known))
    return study


def directions(definition: Definition) -> list[str]:
    """Which of the objective's numbers are better large."""
    if definition.objective == "phone":
        return ["maximize", "minimize", "minimize"]
    return ["maximize"]


def _pruner(definition: Definition) -> Any:
    pruners = optuna().pruners
    if not definition.halving:
        return pruners.NopPruner()
    # Half of what reaches a fraction of weights goes on; two have to be there to be compared.
    return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2, bootstrap_count=2)


def is_of_the_study(definition: Definition, trial: Any) -> bool:
    """Whether a trial is one of the study's points, not one that Optuna added to an empty queue."""
    return not definition.grid or _POINT in trial.user_attrs


def _refuse_another(definition: Definition, known: dict[str, Any]) -> None:
    now = definition.to_json()
    differing = [
        f"{key}: {known.get(key)} (now {now.get(key)})"
        for key in sorted(known.keys() | now.keys())
        if known.get(key) != now.get(key)
    ]
    if differing:
        raise StudyError(
            f"There is a study {definition.name!r} with another definition: {'; '.join(differing)}."
            " Give this one another `name`, or another --output."
        )


def _refuse_network(folder: pathlib.Path) -> None:
    """Raise a `StudyError` if SQLite's file would be on a network file system, where its locks do
    not hold."""
    folder = folder.resolve()
    try:
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return
    at = [(fields[1], fields[2]) for fields in mounts if folder.is_relative_to(fields[1])]
    kind = max(at, key=lambda mount: len(mount[0]))[1]
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StudyError(
            f"{folder} is on a network file system ({kind}), where SQLite's locks do not hold: "
            "give --storage, the URL of a database such as postgresql+psycopg://host/name."
        )
