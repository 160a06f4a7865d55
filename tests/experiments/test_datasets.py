"""Data sets: the embedded one, and TensorFlow Datasets where its files are at hand."""

from pathlib import Path

import numpy as np
import pytest

from experiments import datasets

TFDS = Path(__file__).parents[3] / "shared" / "data" / "tfds"
needs_tfds = pytest.mark.skipif(not TFDS.exists(), reason=f"there is no {TFDS}")


def test_digits():
    digits = datasets.load("digits")
    assert digits.name == "digits"
    assert (digits.classes, digits.shape) == (10, (8, 8, 1))
    assert digits.x_train.shape == (1_437, 8, 8, 1)
    assert digits.x_test.shape == (360, 8, 8, 1)
    for x, y in ((digits.x_train, digits.y_train), (digits.x_test, digits.y_test)):
        assert (x.dtype, y.dtype) == ("float32", "int64")
        assert (x.min(), x.max()) == (0, 1)
        assert len(x) == len(y)
    # Stratified: 182, 181, ... images of a class in all, a fifth of each set aside.
    assert list(np.bincount(digits.y_test)) == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]


def test_digits_are_always_split_alike():
    one, other = datasets.load("digits"), datasets.load("digits")
    np.testing.assert_array_equal(one.x_train, other.x_train)
    np.testing.assert_array_equal(one.y_test, other.y_test)
    assert list(one.y_test[:8]) == [7, 6, 3, 7, 7, 3, 2, 8]


def test_limit():
    few, all_of_them = datasets.load("digits", limit=32), datasets.load("digits")
    assert len(few.x_train) == len(few.y_train) == len(few.x_test) == len(few.y_test) == 32
    np.testing.assert_array_equal(few.x_train, all_of_them.x_train[:32])
    with pytest.raises(ValueError, match="`limit` must be at least 1, received 0"):
        datasets.load("digits", limit=0)


def test_split_validation():
    digits = datasets.load("digits")
    rest, (x, y) = datasets.split_validation(digits, 437, seed=1)
    assert (len(rest.x_train), len(rest.y_train), len(x), len(y)) == (1_000, 1_000, 437, 437)
    np.testing.assert_array_equal(rest.x_test, digits.x_test)

    def rows(images):
        return sorted(image.tobytes() for image in images)

    assert rows(np.concatenate([rest.x_train, x])) == rows(digits.x_train)
    labels = {
        image.tobytes(): label for image, label in zip(digits.x_train, digits.y_train, strict=True)
    }
    assert all(labels[image.tobytes()] == label for image, label in zip(x, y, strict=True))


def test_split_validation_by_seed():
    digits = datasets.load("digits", limit=100)
    one, same, other = (datasets.split_validation(digits, 20, seed)[1][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("count", [0, 100, -1])
def test_split_validation_refuses(count):
    digits = datasets.load("digits", limit=100)
    with pytest.raises(ValueError, match=f"between 1 and 99, .* received {count}"):
        datasets.split_validation(digits, count, seed=0)


def test_standardize():
    x_train = np.array([[1, 10], [3, 30]], "float32").reshape(2, 1, 1, 2)
    x_test = np.array([[2, 40]], "float32").reshape(1, 1, 1, 2)
    labels = np.zeros(2, "int64")
    dataset = datasets.Dataset(x_train, labels, x_test, labels[:1], 2, "made up")
    result = datasets.standardize(dataset)
    np.testing.assert_array_equal(result.x_train.ravel(), [-1, -1, 1, 1])
    np.testing.assert_array_equal(result.x_test.ravel(), [0, 2])  # by the training statistics
    assert result.x_train.dtype == result.x_test.dtype == "float32"
    np.testing.assert_array_equal(dataset.x_train, x_train)


@needs_tfds
@pytest.mark.parametrize(
    "name, shape, labels",
    [("mnist", (28, 28, 1), [4, 1, 0, 7, 8, 1, 2, 7]), ("cifar10", (32, 32, 3), None)],
)
def test_tfds(name, shape, labels):
    dataset = datasets.load(name, data_dir=str(TFDS), limit=64)
    assert (dataset.name, dataset.classes, dataset.shape) == (name, 10, shape)
    assert dataset.x_train.shape == (64, *shape)
    assert dataset.x_test.shape == (64, *shape)
    assert (dataset.x_train.dtype, dataset.y_train.dtype) == ("float32", "int64")
    assert 0 <= dataset.x_train.min() < 0.1 < 0.9 < dataset.x_train.max() <= 1
    if labels is not None:
        assert list(dataset.y_train[:8]) == labels


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(ValueError, match=r"No data set 'mnst': there are .*digits.* mnist"):
        datasets.load("mnst")


def test_absent_files_say_which_flag_would_do(tmp_path):
    problem = r"not in .*: pass the folder that holds mnist/3[.0-9]+ as --data_dir, or --download"
    with pytest.raises(FileNotFoundError, match=problem):
        datasets.load("mnist", data_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_what_is_not_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="imdb_reviews is not a set of images of one size"):
        datasets.load("imdb_reviews", data_dir=str(tmp_path))


def test_a_folder_of_images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(10):
            picture = rng.integers(256, size=(4, 5, 3)).astype(np.float32) / 255
            np.save(tmp_path / name / f"{number}.npy", picture)
    animals = datasets.load(f"folder:{tmp_path}")
    assert (animals.classes, animals.shape) == (2, (4, 5, 3))
    assert np.bincount(animals.y_train).tolist() == [8, 8]
    assert np.bincount(animals.y_test).tolist() == [2, 2]
    again = datasets.load(f"folder:{tmp_path}")
    assert animals.fingerprint == again.fingerprint
    (tmp_path / "cat" / "0.npy").unlink()
    assert datasets.load(f"folder:{tmp_path}").fingerprint != animals.fingerprint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../images", r"a folder of images is given as folder:\.\./images"),
        ("folder:/none", "there is no folder /none"),
    ],
)
def test_a_folder_that_is_none_is_answered(name, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        datasets.load(name)


def test_a_folder_with_too_few_pictures_is_refused(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", np.zeros((4, 4, 1), np.float32))
    with pytest.raises(ValueError, match=r"in classes of \[1, 1\]; there must be"):
        datasets.load(f"folder:{tmp_path}")
