"""The page of quickly trained models, served to a browser, once for all tests."""

import os
from pathlib import Path

import pytest
from page_server import serving

from export.web import browser, build

TFDS = Path(__file__).parents[4] / "shared/data/tfds"


@pytest.fixture(scope="session")
def dataset():
    """Real MNIST where it is on this machine, else the digits of scikit-learn."""
    from export.web import models

    folder = Path(os.environ.get("TFDS_DATA_DIR", TFDS))
    return models.load(folder if (folder / "mnist").exists() else None, limit=6000)


@pytest.fixture(scope="session")
def models(dataset, tmp_path_factory):
    """The folder of three hastily trained models."""
    from export.web import models

    folder = tmp_path_factory.mktemp("web") / "models"
    models.write_models(folder, dataset, models.Effort(between=100, last=1200))
    return folder


@pytest.fixture(scope="session")
def dist(models, tmp_path_factory):
    """The folder of the page."""
    folder = tmp_path_factory.mktemp("web") / "dist"
    build.build(models, folder)
    return folder


@pytest.fixture(scope="session")
def site(dist):
    """The page's address."""
    with serving(dist) as url:
        yield url


@pytest.fixture(scope="session")
def driver():
    """A browser for the whole session."""
    lack = browser.missing()
    if lack:
        pytest.skip(lack)
    with browser.open_browser() as driver:
        driver.set_script_timeout(60)
        yield driver
