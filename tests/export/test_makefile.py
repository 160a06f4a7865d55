"""The Makefile's targets, as far as they can be asked without setting anything up."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make")

pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile and the files that it looks at."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "setup.cfg").touch()
    (tmp_path / "export/web").mkdir(parents=True)
    (tmp_path / "export/web/package-lock.json").touch()
    return tmp_path


def make(folder, *arguments, path="/usr/bin:/bin"):
    return subprocess.run(
        [MAKE, *arguments], cwd=folder, env={"PATH": str(path)}, capture_output=True, text=True
    )


def test_help_names_every_target():
    names = (ROOT / "Makefile").read_text().split(".PHONY: ")[1].splitlines()[0].split()
    said = make(ROOT, "help").stdout
    assert [name for name in names if f"make {name} " not in said] == ["help"]


def test_models_of_one_data_set_do_not_serve_for_the_other(checkout):
    (checkout / "export/web/build/digits").mkdir(parents=True)
    (checkout / "export/web/build/digits/metadata.json").touch()
    digits = make(checkout, "-n", "web").stdout
    assert "export.web.train" not in digits
    assert "export.web.build --models=export/web/build/digits" in digits
    mnist = make(checkout, "-n", "web", "DATA_DIR=/data").stdout
    assert "export.web.train --output=export/web/build/mnist --data_dir=/data" in mnist
    assert "export.web.build --models=export/web/build/mnist" in mnist


@pytest.mark.parametrize(
    ("target", "missing"), [("web", "npm"), ("test-web", "chromium"), ("test-web", "chromedriver")]
)
def test_what_the_page_needs_is_asked_for_first(checkout, target, missing):
    programs = checkout / "bin"
    programs.mkdir()
    for name in {"npm", "node", "chromium", "chromedriver"} - {missing}:
        (programs / name).symlink_to("/bin/true")
    done = make(checkout, target, path=programs)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(f"{missing} is not installed, see make help\nmake: ***")


def test_clean_leaves_results(checkout):
    for name in ("build", "dist", "node_modules"):
        (checkout / "export/web" / name).mkdir()
    (checkout / "runs").mkdir()
    assert make(checkout, "clean").returncode == 0
    assert {path.name for path in checkout.iterdir()} == {"Makefile", "setup.cfg", "export", "runs"}
    assert [path.name for path in (checkout / "export/web").iterdir()] == ["package-lock.json"]
