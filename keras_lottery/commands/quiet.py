"""TensorFlow is imported without its page of log lines; errors and Python's warnings still show."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from absl import logging

# What its C++ writes before the log level is in force: no environment variable reaches these.
_LOG_LINE = re.compile(rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} ")


def import_tensorflow() -> None:
    """Imports TensorFlow with its informational log lines held back.

    `TF_CPP_MIN_LOG_LEVEL=0` in the environment shows everything.
    """
    if "tensorflow" in sys.modules or os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    # TensorFlow Datasets tells of every file it looks for at the level below.
    logging.set_verbosity(logging.WARNING)
    with _without_log_lines():
        import tensorflow
    # It takes the tracing of one model after the other for the retracing of one.
    tensorflow.get_logger().setLevel("ERROR")


def import_backend() -> None:
    """Imports Keras, and the backend that it is set to, likewise."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "0":
        with _without_log_lines():
            import keras  # noqa: F401


@contextlib.contextmanager
def _without_log_lines() -> Iterator[None]:
    """Collects what is written to file descriptor 2, and passes on all but the log lines."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not _LOG_LINE.match(line):
                    os.write(2, line)
