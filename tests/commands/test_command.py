"""Numbers on a command line."""

import argparse

import pytest

from keras_lottery.commands import command


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "one", ""])
def test_what_is_no_integer_of_the_least(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not an integer of at least 1$"):
        command.integer(1)(text)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "half"])
def test_what_is_no_number_within_bounds(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not a number from 0 to 1$"):
        command.number(0, 1)(text)


@pytest.mark.parametrize("text", ["-1", "inf"])
def test_what_is_no_number_above_a_bound(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not a number of at least 0$"):
        command.number(0)(text)


def test_an_error_is_one_line():
    def run(arguments):
        raise command.CommandError("two\nlines")

    parser = argparse.ArgumentParser(prog="script")
    command.prepare(parser, lambda parser: None, run)
    with pytest.raises(SystemExit, match=r"^script: two lines$"):
        command.execute(parser.parse_args([]))
