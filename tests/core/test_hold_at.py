"""What pruned weights are held at: rows typed by hand."""

import numpy as np
import pytest

from keras_lottery.core import hold_at
from keras_lottery.core.kernel import Kernel

KERNEL = Kernel.of([0.5, -2.0, -1.0, 0.0, 3.0], initial=[1.0, -1.0, 1.0, -0.5, 0.0])
GOLDEN = {
    "zero": [0.0, 0.0, 0.0, 0.0, 0.0],
    "freeze": [1.0, -1.0, 1.0, -0.5, 0.0],
    # Smaller, larger, the same size with the other sign (not smaller), gone to 0, grown from 0.
    "freeze_unless_shrinking": [0.0, -1.0, 1.0, 0.0, 0.0],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_row(name):
    np.testing.assert_array_equal(getattr(hold_at, name)(KERNEL), GOLDEN[name])
