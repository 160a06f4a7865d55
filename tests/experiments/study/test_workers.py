"""Several workers of one study: started at once, killed, stopped and continued."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("optuna", reason="pip install '.[study]'")

from experiments.pieces.store import Store
from experiments.study import definition, storage

ROOT = pathlib.Path(__file__).parents[3]
TEXT = """
name = "together"
remaining = [0.8, 0.5]
[settings]
examples = 32
iterations = 300
rounds = 4
controls = []
[grid]
criterion = ["large_final", "movement", "random"]
rate = [0.2, 0.25, 0.3, 0.4]
"""
# Rounds down to a half at each rate, for each criterion, and the dense network.
NETWORKS = 1 + 3 * (4 + 3 + 2 + 2)

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:.*experimental"),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.toml").write_text(TEXT)
    return tmp_path


def start(folder, *arguments, **environment):
    return subprocess.Popen(
        [
            sys.executable,
            str(pathlib.Path(__file__).with_name("working.py")),
            f"--study={folder / 'study.toml'}",
            f"--output={folder / 'out'}",
            f"--pieces={folder / 'pieces'}",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
        | environment,
    )


def outputs(workers):
    texts = []
    for worker in workers:
        text, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, text[-3000:]
        texts.append(text)
    return texts


def trials(folder, url=None):
    defined = definition.read(folder / "study.toml")
    return storage.join(defined, folder / "out", url).get_trials()


def check(folder, texts, url=None):
    """All points are there, none twice; every network was computed once."""
    completed = [trial for trial in trials(folder, url) if trial.state.name == "COMPLETE"]
    points = sorted(trial.user_attrs["point"] for trial in completed)
    assert points == list(range(12))
    store = Store(folder / "pieces")
    assert len(store.names()) == NETWORKS
    trained = [int(re.search(r"and trained (\d+)", text)[1]) for text in texts]
    assert sum(trained) <= NETWORKS, "a network was computed twice"


def test_eight_workers_that_are_started_at_once(folder):
    workers = [start(folder) for _ in range(8)]
    texts = outputs(workers)
    check(folder, texts)
    assert {trial.state.name for trial in trials(folder)} <= {"COMPLETE", "FAIL"}


def killed_and_stopped(folder, *arguments, url=None):
    """Three workers; one is stopped past its grace, one killed while the last trials are run."""
    workers = [start(folder, *arguments, GRACE="8") for _ in range(3)]
    stopped, killed, other = workers
    while sum(t.state.name == "RUNNING" for t in _trials(folder, url)) < 1:
        time.sleep(0.2)
    stopped.send_signal(signal.SIGSTOP)
    time.sleep(12)  # past its grace; a piece that it holds is waited for
    stopped.send_signal(signal.SIGCONT)
    while sum(t.state.name == "WAITING" for t in _trials(folder, url)):
        time.sleep(0.2)
    killed.kill()
    killed.communicate()
    return outputs([stopped, other])


def _trials(folder, url):
    with contextlib.suppress(definition.StudyError, KeyError):
        return trials(folder, url)
    return []


def test_one_is_killed_and_one_stopped(folder):
    check(folder, killed_and_stopped(folder))


@pytest.mark.skipif(shutil.which("initdb") is None, reason="PostgreSQL is not installed")
def test_one_is_killed_and_one_stopped_on_postgresql(folder):
    pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    with database(folder) as url:
        texts = killed_and_stopped(folder, f"--storage={url}", url=url)
        check(folder, texts, url)


@contextlib.contextmanager
def database(folder):
    """A PostgreSQL server of its own; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # It does not run as root.
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    user = user if os.getuid() == 0 else []
    data = pathlib.Path("/tmp") / f"study-{port}"
    data.mkdir()
    if user:
        shutil.chown(data, "postgres", "postgres")

    def call(*command):
        result = subprocess.run([*user, *command], capture_output=True, text=True, cwd="/")
        assert result.returncode == 0, result.stdout + result.stderr

    call("initdb", "-D", str(data / "db"), "-U", "postgres", "-A", "trust")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {data}"
    call("pg_ctl", "-D", str(data / "db"), "-o", options, "-l", str(data / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", str(data / "db"), "-m", "immediate", "stop")
        shutil.rmtree(data, ignore_errors=True)
