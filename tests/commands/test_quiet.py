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


def test_what_is_no_log_line_is_shown_even_when_the_import_fails(capfd):
    with pytest.raises(ImportError), quiet._without_log_lines():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\n")
        os.write(2, b"I0000 00:00:1795168215.3    7449 port.cc:153] oneDNN is on.\n")
        os.write(2, b"UserWarning: something to know\nE0000 00:00:17 cuda.cc:52] failed\n")
        raise ImportError
    assert capfd.readouterr().err == (
        "UserWarning: something to know\nE0000 00:00:17 cuda.cc:52] failed\n"
    )
