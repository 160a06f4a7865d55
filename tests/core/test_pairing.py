"""Variables of two builds of one architecture."""

import pytest

from keras_lottery.core.pairing import paired


def test_equal_names_are_paired_whatever_their_order():
    stored = {"fc_1/kernel": (2, 2), "fc_2/kernel": (2, 2)}
    others = {"fc_2/kernel": (2, 2), "fc_1/kernel": (2, 2)}
    assert paired(stored, others, "the model") == {name: name for name in stored}


def test_numbered_names_are_paired_in_order():
    stored = {"dense/kernel": (4, 3), "dense/bias": [3], "dense_1/kernel#2": (3, 2)}
    others = {"dense_1/kernel": (4, 3), "dense_1/bias": (3,), "dense_2/kernel": (3, 2)}
    assert list(paired(stored, others, "the model").items()) == [
        ("dense/kernel", "dense_1/kernel"),
        ("dense/bias", "dense_1/bias"),
        ("dense_1/kernel#2", "dense_2/kernel"),
    ]


@pytest.mark.parametrize(
    "others, message",
    [
        (
            {"a/kernel": (3,)},
            r"'a/kernel' of shape \(2,\) is stored where the ticket has 'a/kernel'",
        ),
        ({"b/kernel": (2,)}, r"'a/kernel' .* has 'b/kernel' of shape \(2,\)"),
        ({"a/kernel": (2,), "b": ()}, "1 variables are stored and the ticket has 2"),
    ],
)
def test_another_architecture(others, message):
    with pytest.raises(ValueError, match=f"The architectures differ: .*{message}"):
        paired({"a/kernel": (2,)}, others, "the ticket")
