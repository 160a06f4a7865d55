import pytest
from absl import flags
from absl.testing import flagsaver


@pytest.fixture
def run(tmp_path):
    """Runs a script's `main` with flags, as the command line would; pieces go to a folder here."""

    def run(script, *arguments):
        with flagsaver.flagsaver():
            flags.FLAGS([script.__name__, f"--pieces={tmp_path / 'pieces'}", *arguments])
            script.main([script.__name__])

    return run
