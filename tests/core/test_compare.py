"""Golden numbers, typed by hand, for combining and comparing mask dicts."""

import math

import numpy as np
import pytest

from keras_lottery.core import compare

FIRST = {
    "fc1/kernel": np.array([[1, 1, 0], [0, 1, 0]], bool),
    "fc2/kernel": np.array([1, 0, 0, 1], bool),
}
SECOND = {
    "fc1/kernel": np.array([[1, 0, 0], [1, 1, 0]], bool),
    "fc2/kernel": np.array([0, 1, 1, 0], bool),
}

GOLDEN = {
    compare.union: ([[1, 1, 0], [1, 1, 0]], [1, 1, 1, 1]),
    compare.intersection: ([[1, 0, 0], [0, 1, 0]], [0, 0, 0, 0]),
    compare.difference: ([[0, 1, 0], [0, 0, 0]], [1, 0, 0, 1]),
}


@pytest.mark.parametrize("operation", GOLDEN, ids=lambda operation: operation.__name__)
def test_operation(operation):
    before = [mask.copy() for masks in (FIRST, SECOND) for mask in masks.values()]
    result = operation(FIRST, SECOND)
    assert list(result) == ["fc1/kernel", "fc2/kernel"]
    for mask, golden in zip(result.values(), GOLDEN[operation], strict=True):
        np.testing.assert_array_equal(mask, np.array(golden, bool))
        assert mask.dtype == bool
    after = [mask for masks in (FIRST, SECOND) for mask in masks.values()]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_result_shares_no_memory_with_its_arguments():
    for operation in GOLDEN:
        result = operation(FIRST, FIRST)
        assert not any(np.shares_memory(result[name], FIRST[name]) for name in FIRST)


def test_compare_golden():
    result = compare.compare(FIRST, SECOND)
    fc1, fc2 = result.kernels
    assert (fc1.size, fc1.first, fc1.second, fc1.both, fc1.either) == (6, 3, 3, 2, 4)
    assert (fc1.jaccard, fc1.containment, fc1.chance) == (0.5, 2 / 3, 1.5)
    # Hypergeometric: n K/N (N-K)/N (N-n)/(N-1) = 3 * 1/2 * 1/2 * 3/5
    assert fc1.variance == pytest.approx(0.45)
    assert fc1.z == pytest.approx(0.5 / math.sqrt(0.45))
    assert (fc2.both, fc2.jaccard, fc2.containment, fc2.chance) == (0, 0.0, 0.0, 1.0)
    assert fc2.variance == pytest.approx(1 / 3)  # 2 * 1/2 * 1/2 * 2/3
    total = result.overall
    assert (total.name, total.size, total.both, total.either) == ("overall", 10, 2, 8)
    assert total.chance == 2.5
    assert total.jaccard == 0.25
    assert total.z == pytest.approx(-0.5 / math.sqrt(0.45 + 1 / 3))


def test_overall_chance_respects_the_kernels_densities():
    # Two random tickets, dense in one kernel and sparse in the other, share about 8,101 weights:
    # that is chance, though one kernel of their mean density would share only 4,140.
    rng = np.random.default_rng(0)

    def ticket():
        full = np.zeros(10_000, bool)
        full[rng.permutation(10_000)[:9_000]] = True
        sparse = np.zeros(10_000, bool)
        sparse[rng.permutation(10_000)[:100]] = True
        return {"dense": full, "sparse": sparse}

    overall = compare.compare(ticket(), ticket()).overall
    assert overall.chance == pytest.approx(8_101.0)
    assert abs(overall.z) < 4


@pytest.mark.parametrize(
    "a, b, jaccard, containment, z",
    [
        ([0, 0], [0, 0], 1.0, 1.0, 0.0),
        ([1, 1], [1, 1], 1.0, 1.0, 0.0),
        ([0, 0], [1, 1], 0.0, 1.0, 0.0),
        ([1], [1], 1.0, 1.0, 0.0),
        ([], [], 1.0, 1.0, 0.0),
    ],
)
def test_where_there_is_no_choice(a, b, jaccard, containment, z):
    line = compare.compare({"k": np.array(a, bool)}, {"k": np.array(b, bool)}).overall
    assert (line.jaccard, line.containment, line.z) == (jaccard, containment, z)


def test_table():
    lines = str(compare.compare(FIRST, SECOND)).splitlines()
    assert lines[0].split() == (
        "kernel weights first second both either jaccard of min chance z".split()
    )
    assert lines[1].split() == "fc1/kernel 6 3 3 2 4 0.500 0.667 1.5 0.7".split()
    assert lines[3].split() == "overall 10 5 5 2 8 0.250 0.400 2.5 -0.6".split()
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("function", [*GOLDEN, compare.compare], ids=lambda f: f.__name__)
def test_masks_of_different_architectures(function):
    with pytest.raises(compare.MaskMismatchError, match=r"Only the first .* 'fc2/kernel'"):
        function(FIRST, {"fc1/kernel": SECOND["fc1/kernel"]})
    with pytest.raises(compare.MaskMismatchError, match=r"Only the second .* 'new'"):
        function(FIRST, {**SECOND, "new": np.ones(3, bool)})
    with pytest.raises(compare.MaskMismatchError, match=r"'fc2/kernel' .*\(4,\) and \(5,\)"):
        function(FIRST, {**SECOND, "fc2/kernel": np.ones(5, bool)})
    with pytest.raises(compare.MaskMismatchError, match=r"'fc2/kernel' has dtype float64"):
        function(FIRST, {**SECOND, "fc2/kernel": np.ones(4)})


def test_signs_are_compared_where_both_keep_a_weight():
    """Of three that both keep two agree; a zero agrees with a zero alone."""
    first = {"k": np.array([1, 1, 1, 1, 0], bool)}
    second = {"k": np.array([1, 1, 1, 0, 1], bool)}
    values = {"k": np.array([1.0, -2.0, 0.0, 4.0, 5.0])}
    others = {"k": np.array([9.0, -0.1, 3.0, -4.0, -5.0])}
    line, overall = compare.compare_signs(first, second, values, others)
    assert (line.name, line.both, line.alike) == ("k", 3, 2)
    assert overall.share == pytest.approx(2 / 3)
    assert overall.z == pytest.approx(0.5 / 0.75**0.5)
    nothing = compare.compare_signs({"k": ~first["k"]}, {"k": ~second["k"]}, values, others)[-1]
    assert (nothing.both, nothing.share, nothing.z) == (0, 1.0, 0.0)
