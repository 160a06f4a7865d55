import os
import subprocess
import sys

import pytest

from keras_lottery.commands import quiet


@pytest.mark.long
def test_tensorflow_is_imported_in_silence():
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    code = "from keras_lottery.commands import quiet; quiet.import_tensorflow(); import tensorflow"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env=environment
    )
    assert done.stdout + done.stderr == b""


def test_what_is_no_log_line_is_shown():
    lines = (
        b"WARNING: All log messages before absl::InitializeLog() is called",
        b"I0000 00:00:1795168215.3    7449 port.cc:153] oneDNN is on.",
        b"W0000 00:00:1795168215.3    7449 cuda.cc:15] no GPU",
        b"UserWarning: something to know",
        b"E0000 00:00:17 cuda.cc:52] failed",
    )
    assert [quiet.is_log_line(line) for line in lines] == [True, True, True, False, False]
