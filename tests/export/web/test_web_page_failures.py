"""What the page says where something fails."""

import shutil

import pytest
from page_actions import FRAME, SIZES, changed, click, draw, open_page, run, status_says, wait
from page_server import needs_litert, serving

pytestmark = [pytest.mark.long, needs_litert]


@pytest.fixture
def site(dist):
    """An address of its own: a service worker of an earlier test might reload the page."""
    with serving(dist) as url:
        yield url


def test_runtime_that_does_not_start_is_said(driver, site):
    script = "WebAssembly.instantiate = WebAssembly.instantiateStreaming = undefined;"
    with changed(driver, script):
        driver.get(site)
        status_says(driver, "The network could not be started: ")


@pytest.mark.parametrize("file", ["metadata.json", "smallest.tflite"])
def test_missing_file_is_said(driver, dist, tmp_path, file):
    folder = shutil.copytree(dist, tmp_path / "dist")
    (folder / file).unlink()
    with serving(folder) as site:
        driver.get(site)
        status_says(driver, f"could not be started: {file} could not be fetched: 404")
        draw(driver, [[(0.5, 0.2), (0.5, 0.8)]], mobile=False)
        run(driver, FRAME + FRAME)
        assert "could not be started" in driver.find_element("id", "status").text


def test_failed_measurement_is_said_and_can_be_repeated(driver, site):
    script = """
      const now = performance.now;
      performance.now = () => {
        if (new Error().stack.includes('timing.js')) throw new Error('no clock');
        return now.call(performance);
      };
      self.mendClock = () => { performance.now = now; };
    """
    with changed(driver, script):
        page = open_page(driver, site, SIZES["desktop"])
    status_says(page, "The models could not be timed: no clock")
    click(page, "example")
    status_says(page, "sure it is a")
    click(page, "measure")
    status_says(page, "The models could not be timed: no clock")
    run(page, "mendClock();")
    click(page, "measure")
    wait(page, lambda: "times smaller" in page.find_element("id", "models").text)


def test_failed_answer_is_said(driver, site):
    page = open_page(driver, site, SIZES["desktop"])
    run(
        page,
        "({Tensor: {prototype: self.tensor}} = await import('./litert/index.js'));"
        "self.working = tensor.toTypedArray;"
        "tensor.toTypedArray = () => { throw new Error('no memory'); };",
    )
    click(page, "example")
    status_says(page, "The network could not answer: no memory")
    run(page, "tensor.toTypedArray = working;")
    click(page, "example")
    status_says(page, "sure it is a")
