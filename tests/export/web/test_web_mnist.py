import json
import subprocess

import numpy as np
import pytest
from page_server import node

from export.web import build, small_digits

SCRIPT = """
const {toMnist} = await import(process.argv[1]);
let text = '';
for await (const chunk of process.stdin) text += chunk;
const images = JSON.parse(text).map(({ink, width}) => toMnist(ink, width));
console.log(JSON.stringify(images.map((image) => image && Array.from(image))));
"""


def to_mnist(*images):
    """What the page's module makes of images, run in node."""
    module = (build.HERE / "page/mnist.js").as_uri()
    records = [{"ink": np.ravel(i).tolist(), "width": i.shape[1]} for i in images]
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", SCRIPT, module],
        input=json.dumps(records),
        capture_output=True,
        text=True,
        check=True,
    )
    return [out and np.reshape(out, (28, 28)) for out in json.loads(done.stdout)]


def box(image):
    rows, columns = np.nonzero(image)
    return np.ptp(rows) + 1, np.ptp(columns) + 1


def centre(image):
    """The pixel that holds the centre of mass."""
    rows, columns = np.indices(image.shape)
    return [int((image * (at + 0.5)).sum() / image.sum()) for at in (rows, columns)]


@pytest.fixture(scope="module")
def blots():
    rng = np.random.default_rng(0)
    inks = []
    for height, width in [(40, 40), (200, 100), (33, 190), (7, 3), (28, 28)]:
        ink = np.zeros((240, 240))
        top, left = rng.integers(0, 240 - height), rng.integers(0, 240 - width)
        ink[top : top + height, left : left + width] = rng.random((height, width))
        inks.append(ink)
    return inks


def test_fits_the_box_around_the_centre(blots):
    for ink, image in zip(blots, to_mnist(*blots), strict=True):
        assert max(box(image)) == 20
        assert centre(image) == [14, 14]
        height, width = box(ink)
        assert abs(box(image)[0] - 20 * height / max(height, width)) < 1
        assert 0 <= image.min() and image.max() <= 1


def test_antialiasing_keeps_the_mean(blots):
    for ink, image in zip(blots, to_mnist(*blots), strict=True):
        scale = 20 / max(box(ink))
        np.testing.assert_allclose(image.sum(), ink.sum() * scale**2, rtol=1e-5)


def test_position_does_not_matter():
    ink = np.zeros((60, 80))
    ink[10:40, 5:12] = 1
    ink[30:34, 5:25] = 0.5
    here, there = to_mnist(ink, np.roll(ink, (15, 40), (0, 1)))
    np.testing.assert_array_equal(here, there)


def test_golden_line():
    """A line of 4x40 becomes 2x20: rows 4 to 23, columns 13 and 14, its centre at (14, 14)."""
    ink = np.zeros((64, 64))
    ink[7:47, 50:54] = 1
    expected = np.zeros((28, 28))
    expected[4:24, 13:15] = 1
    np.testing.assert_allclose(to_mnist(ink)[0], expected, atol=1e-6)


def test_python_does_the_same(blots):
    for ink, image in zip(blots, to_mnist(*blots), strict=True):
        np.testing.assert_allclose(small_digits.to_mnist(ink), image, atol=1e-6)


def test_small_digits_look_like_mnist():
    dataset = small_digits.load(limit=30)
    assert dataset.x_train.shape == (300, 28, 28, 1) and dataset.x_test.shape == (30, 28, 28, 1)
    assert len(dataset.y_train) == 300
    for image in [*dataset.x_train[..., 0], *dataset.x_test[..., 0]]:
        assert max(box(image)) == 20
        assert centre(image) == [14, 14]
    assert 0.08 < dataset.x_train.mean() < 0.17  # MNIST has 0.13


@pytest.mark.parametrize("turns", range(4))
def test_a_shape_with_its_mass_at_one_end_stays_whole(turns):
    ink = np.zeros((200, 100))
    ink[:20] = 1
    ink[20:, 45:55] = 0.1
    ink = np.rot90(ink, turns)
    [image] = to_mnist(ink)
    np.testing.assert_allclose(image.sum(), ink.sum() / 100, rtol=1e-5)
    assert box(image) == ((20, 10) if turns % 2 == 0 else (10, 20))
    np.testing.assert_allclose(small_digits.to_mnist(ink), image, atol=1e-6)


def test_empty_pad():
    assert to_mnist(np.zeros((5, 5))) == [None]


@pytest.mark.long
def test_mnist_is_left_as_it_is(dataset):
    """Enlarged and moved, each image of the data set comes back exactly."""
    if dataset.name != "MNIST":
        pytest.skip("MNIST is not on this machine")
    images = dataset.x_test[:200, ..., 0]
    large = [np.pad(np.kron(image, np.ones((5, 5))), ((3, 20), (17, 6))) for image in images]
    np.testing.assert_allclose(to_mnist(*large), images, atol=1e-5)
