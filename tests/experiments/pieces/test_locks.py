import os
import signal
import subprocess
import sys

from experiments.pieces import locks

HOLD = (
    "import pathlib, sys, time\n"
    "from experiments.pieces import locks\n"
    "with locks.lock(pathlib.Path(sys.argv[1])) as got:\n"
    "    print(got, flush=True)\n"
    "    time.sleep(60)\n"
)


def test_a_killed_process_lets_go(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    ) as process:
        assert process.stdout.readline() == "True\n"
        with locks.lock(path) as got:
            assert not got
        assert str(process.pid) in locks.owner(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with locks.lock(path) as got:
        assert got
    assert not path.exists()


def test_nobody_is_named_where_nobody_is_known(tmp_path):
    assert locks.owner(tmp_path / "none") == "another process"
