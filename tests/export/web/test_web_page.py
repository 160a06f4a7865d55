"""The page in a real browser, at the size of a phone and of a desktop, against LiteRT in Python."""

import json
import shutil
import time

import numpy as np
import pytest
from page_actions import (
    FRAME,
    LATEST,
    SIZES,
    changed,
    click,
    draw,
    latest,
    open_page,
    run,
    wait,
)
from page_server import needs_litert, serving
from tracing import trace

from export.web import build

pytestmark = [pytest.mark.long, needs_litert]

# Each text's colour against the nearest background behind it, as WCAG 2 computes the ratio.
CONTRAST = """
const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b]
  .map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
function behind(element) {
  const colour = getComputedStyle(element).backgroundColor;
  const [, , , alpha = 1] = rgb(colour);
  return alpha > 0 || !element.parentElement ? colour : behind(element.parentElement);
}
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  if (element.closest('button:disabled, script, noscript')) continue;
  const [a, b] = [getComputedStyle(element).color, behind(element)].map((c) => luminance(rgb(c)));
  found.push([walker.currentNode.data.trim(), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
}
return found;
"""


@pytest.fixture(params=SIZES)
def size(request):
    return SIZES[request.param]


@pytest.fixture
def page(driver, site, size):
    """The page, ready, with an empty pad."""
    return open_page(driver, site, size)


def in_python(models, file, pixels):
    """The probabilities by LiteRT's Python runtime."""
    from keras_lottery.exporters.tflite.runtimes import interpreter

    data = (models / file).read_bytes()
    ((logits,),) = interpreter.invoke(data, [pixels[np.newaxis, ..., np.newaxis]], "XNNPACK")
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def test_images_are_answered_as_in_python(page, models, dataset):
    right = 0
    for image, label in zip(dataset.x_test[:20], dataset.y_test, strict=False):
        click(page, "clear")
        click(page, "example")
        answer = latest(page)
        expected = in_python(models, "smallest.tflite", answer["pixels"])
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        np.testing.assert_allclose(answer["pixels"], image[..., 0], atol=0.01)
        assert page.find_element("id", "digit").text == str(answer["digit"])
        right += answer["digit"] == label
    assert right >= 17


def test_drawn_digits_are_answered_as_in_python(page, models, dataset, size):
    right = 0
    for label in range(10):
        image = dataset.x_test[np.flatnonzero(dataset.y_test == label)[0], ..., 0]
        click(page, "clear")
        draw(page, trace(image), size.get("mobile", False))
        answer = latest(page)
        expected = in_python(models, "smallest.tflite", answer["pixels"])
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        right += answer["digit"] == label
    assert right >= 8


def test_every_model_answers_as_in_python(driver, site, models):
    page = open_page(driver, site, SIZES["desktop"])
    click(page, "example")
    answers = [latest(page)]
    for choice in page.find_elements("css selector", ".model input"):
        choice.click()
        answers.append(latest(page))
    metadata = json.loads((models / "metadata.json").read_text())
    for model, answer in zip(metadata["models"], answers[1:], strict=True):
        expected = in_python(models, model["file"], answer["pixels"])
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert len({tuple(answer["probabilities"]) for answer in answers}) == len(metadata["models"])


def test_says_sizes_and_times(page, models):
    smallest, _, dense = page.find_elements("css selector", ".model")
    size = (models / "smallest.tflite").stat().st_size
    dense_size = (models / "dense.tflite").stat().st_size
    assert f"{round(dense_size / 1000):,} KB" in dense.text
    assert f"{round(size / 1000)} KB" in smallest.text
    assert f"{round(dense_size / size)} times smaller" in smallest.text
    for row in (smallest, dense):
        assert row.find_element("css selector", ".time b").text.endswith(("µs", "ms"))


def test_small_drawing_is_answered_as_a_large_one(driver, site, dataset):
    page = open_page(driver, site, SIZES["desktop"])
    (index,) = np.flatnonzero(dataset.y_test == 2)[:1]
    strokes = trace(dataset.x_test[index, ..., 0])
    answers = []
    for factor in (1, 0.4):
        click(page, "clear")
        draw(page, [[(x * factor, y * factor) for x, y in s] for s in strokes], mobile=False)
        answers.append(latest(page))
    np.testing.assert_allclose(answers[0]["pixels"], answers[1]["pixels"], atol=0.35)
    assert answers[0]["digit"] == answers[1]["digit"]


def test_undo_clear_and_escape(page, size):
    from selenium.webdriver import ActionChains, Keys

    pen = size.get("mobile", False)
    draw(page, [[(0.5, 0.2), (0.5, 0.8)]], pen)
    line = latest(page)["pixels"]
    draw(page, [[(0.2, 0.5), (0.8, 0.5)]], pen)
    assert not np.array_equal(latest(page)["pixels"], line)
    click(page, "undo")
    wait(page, lambda: np.array_equal(latest(page)["pixels"], line))
    for clear in (
        lambda: click(page, "clear"),
        lambda: ActionChains(page).send_keys(Keys.ESCAPE).perform(),
        lambda: page.find_element("id", "clear").send_keys(Keys.ENTER),
    ):
        click(page, "example")
        latest(page)
        clear()
        wait(page, lambda: run(page, LATEST + "return latest === null;"))
        assert page.find_element("id", "digit").text == ""
        assert "the answer appears here" in page.find_element("id", "status").text
        assert page.find_element("id", "status").get_attribute("aria-busy") == "false"


def test_cleared_in_the_middle_of_a_stroke(driver, site):
    from selenium.webdriver import ActionChains, Keys

    page = open_page(driver, site, SIZES["desktop"])
    pad = page.find_element("id", "pad")
    pen = ActionChains(page, duration=0)
    pen.move_to_element(pad).click_and_hold().move_by_offset(40, 40).send_keys(Keys.ESCAPE)
    pen.move_by_offset(20, 20).release().perform()
    run(page, FRAME + FRAME)
    assert run(page, LATEST + "return latest === null;")
    pen.move_to_element(pad).click_and_hold().move_by_offset(0, 60).release().perform()
    assert latest(page)["pixels"].sum() > 0


def test_fits_the_screen(page, size):
    root = "document.documentElement"
    assert page.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth")
    seen = page.execute_script("return document.getElementById('bars').getBoundingClientRect()")
    assert seen["bottom"] <= size["height"]  # pad and answer without scrolling
    row = page.execute_script("return document.querySelector('.model').getBoundingClientRect()")
    assert row["top"] + row["height"] / 2 <= size["height"]  # and where the comparison begins
    for button in page.find_elements("tag name", "button"):
        assert min(button.size.values()) >= 44


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(driver, site, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page = open_page(driver, site, SIZES["phone"])
        click(page, "example")
        latest(page)
        ratios = page.execute_script(CONTRAST)
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(ratios) > 40
    assert [(text, ratio) for text, ratio in ratios if ratio < 4.5] == []


def test_everything_has_a_name(driver, site):
    page = open_page(driver, site, SIZES["desktop"])
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {"button", "radio", "radiogroup", "image", "list", "heading", "region", "main"}
    roles = [node.get("role", {}).get("value") for node in nodes]
    assert {"button", "radio", "radiogroup", "heading", "list"} <= set(roles)
    for node, role in zip(nodes, roles, strict=True):
        if role in named - {"main"} and not node["ignored"]:
            assert node["name"]["value"], node


def test_no_other_host_and_no_errors(driver, site, size):
    driver.get_log("performance"), driver.get_log("browser")
    page = open_page(driver, site, size)
    click(page, "example")
    latest(page)
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith("smallest.tflite") for url in urls)
    assert [url for url in urls if not url.startswith((site, "data:", "blob:"))] == []
    # LiteRT writes its log, at all levels, to the console's error stream.
    own = [entry for entry in page.get_log("browser") if "/litert/" not in entry["message"]]
    assert [entry for entry in own if entry["level"] == "SEVERE"] == []
    assert page.execute_script("return self.crossOriginIsolated")


def test_installable(driver, site):
    page = open_page(driver, site, SIZES["phone"])
    wait(page, lambda: "without a network" in page.find_element("id", "offline").text)
    manifest = page.execute_cdp_cmd("Page.getAppManifest", {})
    assert manifest["errors"] == []
    found = page.execute_cdp_cmd("Page.getInstallabilityErrors", {})["installabilityErrors"]
    # The profile of a test is as private as a private window, where nothing can be installed.
    assert [e for e in found if e["errorId"] != "in-incognito"] == []


def test_what_is_kept_can_be_removed_and_is_this_pages_own(driver, dist):
    with serving(dist) as site:
        page = open_page(driver, site, SIZES["phone"])
        run(page, "await (await caches.open('keras-lottery of another page')).add('./style.css')")
        wait(page, lambda: "without a network" in page.find_element("id", "offline").text)
        open_page(driver, site, SIZES["phone"])
        asked = "return (await fetch('./not-of-this-page.json')).status"
        assert run(page, asked) == 404
        kept = run(page, "return await caches.keys()")
        assert len(kept) == 2
        click(page, "remove")
        wait(page, lambda: "Nothing of it is kept" in page.find_element("id", "offline").text)
        assert run(page, "return await caches.keys()") == ["keras-lottery of another page"]
        assert run(page, "return (await navigator.serviceWorker.getRegistrations()).length") == 0


def test_works_offline_after_the_first_load(driver, dist, models):
    with serving(dist) as site:
        page = open_page(driver, site, SIZES["phone"])
        wait(page, lambda: "without a network" in page.find_element("id", "offline").text)
    # The server is gone.
    page = open_page(driver, site, SIZES["phone"])
    click(page, "example")
    answer = latest(page)
    expected = in_python(models, "smallest.tflite", answer["pixels"])
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


def test_new_version_replaces_the_kept_one(driver, models, tmp_path):
    build.build(models, tmp_path / "dist")
    with serving(tmp_path / "dist") as site:
        page = open_page(driver, site, SIZES["desktop"])
        wait(page, lambda: "without a network" in page.find_element("id", "offline").text)
        newer = shutil.copytree(models, tmp_path / "models")
        text = (models / "metadata.json").read_text()
        (newer / "metadata.json").write_text(text.replace("Smallest ticket", "Newer ticket"))
        time.sleep(1)  # HTTP's modification times are in seconds
        build.build(newer, tmp_path / "dist")
        page.get(site)
        wait(page, lambda: "Newer ticket" in page.find_element("id", "models").text)


def test_old_browser_gets_the_other_build(driver, site):
    """Without relaxed SIMD the page starts, and keeps, the package's compatible build."""
    probe = (
        "const instantiate = WebAssembly.instantiate;"
        "WebAssembly.instantiate = (code, ...more) => code.byteLength < 100"
        " ? Promise.reject(new Error('no relaxed SIMD')) : instantiate(code, ...more);"
    )
    with changed(driver, probe):
        page = open_page(driver, site, SIZES["desktop"])
        click(page, "example")
        assert 0.999 < sum(latest(page)["probabilities"]) < 1.001
        loaded = run(page, "return performance.getEntriesByType('resource').map((e) => e.name);")
    assert any("litert_wasm_compat_internal" in name for name in loaded)
    assert not any("litert_wasm_internal" in name for name in loaded)
