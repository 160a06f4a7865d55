"""Trainings that can be killed, beside the ones that nobody kills."""

import pytest
from interrupted import SETTINGS, Training


@pytest.fixture(scope="module")
def wholes():
    """What each of the settings gives if nobody kills it, once it is known."""
    return {}


@pytest.fixture
def trainings(tmp_path, data, wholes):
    """A function that makes a `Training`, and what it gives if nobody kills it."""

    def make(name, **arguments):
        if name not in wholes:
            (tmp_path / "whole").mkdir()
            wholes[name] = Training(tmp_path / "whole", data, SETTINGS[name]).run()
        (tmp_path / "killed").mkdir()
        return Training(tmp_path / "killed", data, SETTINGS[name], **arguments), wholes[name]

    return make
