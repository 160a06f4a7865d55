"""A headless Chromium, for the benchmark and the tests.

Needs Debian's packages `chromium` and `chromium-driver`, and Selenium from PyPI.
"""

import contextlib
import shutil
import tempfile

# No call home at start, and no GPU: what is measured and compared is the CPU.
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing():
    """Say in a sentence what this machine lacks to open a browser; None if it lacks nothing."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: chromium, chromium-driver)"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed (pip install keras_lottery[web])"
    return None


@contextlib.contextmanager
def open_browser():
    """Open a fresh headless Chromium with an empty profile as a Selenium driver, closed at the end.

    Its `get_log("performance")` holds the network requests, `get_log("browser")` the console.

    Raises:
        RuntimeError: Something is missing; the message says what.
    """
    lack = missing()
    if lack:
        raise RuntimeError(lack)
    from selenium import webdriver

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        # A named driver, so that Selenium does not look for one on the network.
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()


def resize(driver, width, height, scale=1.0, mobile=False):
    """Gives the page exactly `width` x `height` CSS pixels of `scale` device pixels each."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile},
    )
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": mobile})
