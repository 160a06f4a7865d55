import os

import pytest

from keras_lottery.core import silence


def test_the_lines_that_are_dropped_never_appear_and_the_others_do(capfd):
    with silence.silenced(lambda line: line.startswith(b"I0000 ")):
        os.write(2, b"I0000 chatter\nsomething to know\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "something to know\nafter\n"


def test_standard_error_comes_back_when_the_block_fails(capfd):
    with pytest.raises(ImportError), silence.silenced(silence.every_line):
        os.write(2, b"chatter\n")
        raise ImportError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_what_python_writes_is_held_back_too(capfd):
    with silence.silenced(silence.every_line):
        os.system("echo of another process >&2")
    assert capfd.readouterr().err == ""
