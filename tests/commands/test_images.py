"""Images and arrays of one's own, from folders."""

import numpy as np
import pytest
import tensorflow as tf

from keras_lottery.commands import images


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        path.write_bytes(tf.io.encode_png(array).numpy())


def test_a_folder_for_each_class(tmp_path):
    for name, value in (("10", 255), ("9", 51)):
        save(tmp_path / name / "a.png", np.full((2, 3, 1), value, np.uint8))
    (tmp_path / "9" / "notes.txt").write_text("no picture")
    found = images.load(tmp_path)
    assert found.x.shape == (2, 2, 3, 1)
    assert found.x.dtype == np.float32
    np.testing.assert_allclose(found.x[:, 0, 0, 0], [0.2, 1.0])
    assert found.y.tolist() == [0, 1]


def test_names_that_are_no_numbers_are_in_their_order_and_arrays_are_taken_as_they_are(tmp_path):
    save(tmp_path / "cat" / "a.npy", np.float32([[-3.0]]))
    save(tmp_path / "ape" / "b.npy", np.float32([[7.0]]))
    found = images.load(tmp_path)
    assert found.x.ravel().tolist() == [7.0, -3.0]


def test_two_arrays_and_a_limit_spread_over_them(tmp_path):
    save(tmp_path / "x.npy", np.arange(9.0, dtype=np.float32)[:, None])
    save(tmp_path / "y.npy", np.repeat([0, 1, 2], 3))
    found = images.load(tmp_path, limit=3)
    assert found.y.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "it must hold x.npy and y.npy"),
        (
            {"a/x.png": np.zeros((2, 2, 1), np.uint8), "b/x.png": np.zeros((3, 2, 1), np.uint8)},
            "different shapes",
        ),
        ({"x.npy": np.zeros((3, 2)), "y.npy": np.zeros(2, np.int64)}, "one integer for each"),
        ({"x.npy": np.zeros((3, 2)), "y.npy": np.zeros(3)}, "one integer for each"),
    ],
)
def test_folders_of_another_form(tmp_path, content, message):
    for name, array in content.items():
        save(tmp_path / name, array)
    with pytest.raises(ValueError, match=message):
        images.load(tmp_path)


def test_what_is_no_picture_or_array_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"x\.png is no picture"):
        images.load(tmp_path)
    (tmp_path / "a" / "x.png").unlink()
    np.save(tmp_path / "a" / "x.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy is no array of numbers"):
        images.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        images.load(tmp_path / "nowhere")
