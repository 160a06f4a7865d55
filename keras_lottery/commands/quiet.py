"""Imports TensorFlow without its page of log lines; errors and Python's warnings still show."""

import os
import re
import sys

from absl import logging

from keras_lottery.core.silence import silenced

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
    with silenced(is_log_line):
        import tensorflow
    # It takes the tracing of one model after the other for the retracing of one.
    tensorflow.get_logger().setLevel("ERROR")


def import_backend() -> None:
    """Imports Keras and its backend in the same way."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "0":
        with silenced(is_log_line):
            import keras  # noqa: F401


def is_log_line(line: bytes) -> bool:
    """Return whether a line is from the log of TensorFlow or JAX, and no error.

    >>> is_log_line(b"I0000 00:00:17 port.cc:153] oneDNN is on."), is_log_line(b"E0000 00:00:17")
    (True, False)
    """
    return _LOG_LINE.match(line) is not None
