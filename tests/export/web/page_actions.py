"""What a user does on the page in a real browser, and what the page says."""

import contextlib

import numpy as np

from export.web import browser

SIZES = {
    "phone": {"width": 390, "height": 844, "scale": 3.0, "mobile": True},
    "desktop": {"width": 1280, "height": 800},
}
FRAME = "await new Promise(requestAnimationFrame);"
LATEST = "const {latest} = await import('./app.js');"


def open_page(driver, site, size):
    browser.resize(driver, **size)
    driver.get(site)
    run(driver, "await import('./app.js')")  # its last statement waits for the first measurement
    return driver


def run(driver, code, *arguments):
    """The value of asynchronous JavaScript; its error is the test's."""
    value, error = driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        f"(async (...arguments_) => {{ {code} }})(...arguments)"
        ".then((value) => done([value, null]), (error) => done([null, String(error)]));",
        *arguments,
    )
    assert error is None, error
    return value


def latest(driver):
    """The answer to what is on the pad now: input, probabilities and digit."""
    run(driver, FRAME + FRAME)  # answers are given frame by frame
    wait(driver, lambda: "sure it is" in driver.find_element("id", "status").text)
    found = run(driver, LATEST + "return {...latest, pixels: Array.from(latest.pixels)};")
    found["pixels"] = np.reshape(found["pixels"], (28, 28)).astype(np.float32)
    return found


def wait(driver, condition):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.wait import WebDriverWait

    reloaded = [StaleElementReferenceException]
    waiting = WebDriverWait(driver, 60, poll_frequency=0.02, ignored_exceptions=reloaded)
    return waiting.until(lambda _: condition())


def click(driver, name):
    driver.find_element("id", name).click()


def status_says(driver, text):
    """Waits until it does."""
    wait(driver, lambda: text in driver.find_element("id", "status").text)


@contextlib.contextmanager
def changed(driver, script):
    """Runs a script in every new page, before its own."""
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def draw(driver, strokes, mobile):
    """Moves a finger or the mouse along strokes, points in [0, 1] of the pad."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    pad = driver.find_element("id", "pad").rect
    pointer = PointerInput("touch" if mobile else "mouse", "pen")
    builder = ActionBuilder(driver, mouse=pointer, duration=0)
    for stroke in strokes:
        points = [(pad["x"] + x * pad["width"], pad["y"] + y * pad["height"]) for x, y in stroke]
        builder.pointer_action.move_to_location(*map(round, points[0]))
        builder.pointer_action.pointer_down()
        for point in points[1:]:
            builder.pointer_action.move_to_location(*map(round, point))
        builder.pointer_action.pointer_up()
    builder.perform()
    ActionChains(driver).reset_actions()
