import pytest
from absl import flags
from absl.testing import flagsaver


@pytest.fixture
def run():
    """Runs a script's `main` with flags, as the command line would."""

    def run(script, *arguments):
        with flagsaver.flagsaver():
            flags.FLAGS([script.__name__, *arguments])
            script.main([script.__name__])

    return run
