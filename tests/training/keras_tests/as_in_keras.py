"""A pytest plugin: what Keras' tests find in their own repository, and its wheel lacks."""

import sys
import types

import keras
import pytest


def _skip_if_backend(backend, reason):
    return pytest.mark.skipif(keras.backend.backend() == backend, reason=reason)


def pytest_configure(config):
    """Provides their `conftest`, and knows their marker."""
    conftest = types.ModuleType("conftest")
    conftest.skip_if_backend = _skip_if_backend
    sys.modules["conftest"] = conftest
    config.addinivalue_line("markers", "requires_trainable_backend: of Keras")
