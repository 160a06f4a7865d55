"""The contract suites for functions of a kernel: criteria, and actions on weights."""

import itertools
from collections.abc import Callable

import numpy as np

from keras_lottery.core.kernel import Kernel

SHAPES = [(7,), (6, 4), (3, 5, 4), (3, 3, 2, 4)]
WEIGHTS = {
    "random": lambda rng, shape: rng.standard_normal(shape),
    "tied": lambda rng, shape: rng.integers(-1, 2, shape),
    "zero": lambda rng, shape: np.zeros(shape),
}
ALIVE = {"all": 1.0, "some": 0.5, "none": 0.0}


def check_criterion(criterion: Callable[[Kernel], np.ndarray]) -> None:
    """Check that a function scores kernels as a criterion has to.

    Scores have the kernel's shape and are finite and floating point; they are new arrays, the
    record is left as it was, and randomness comes from its generator alone.

    Args:
        criterion: A function `Kernel -> scores`.

    Raises:
        AssertionError: If it breaks one of these promises; the message says which, and for what.

    Example:

    >>> check_criterion(lambda kernel: np.abs(kernel.current))
    >>> check_criterion(lambda kernel: kernel.current)
    Traceback (most recent call last):
    AssertionError: ... must return a new array, not one of the record's
    """
    for shape, weights, alive in itertools.product(SHAPES, WEIGHTS, ALIVE):
        case = f"for {weights} weights of shape {shape}, {alive} alive"
        kernel = make_kernel(shape, weights, alive)
        values = np.asarray(criterion(kernel))
        assert values.shape == shape, f"{criterion} returned shape {values.shape} {case}"
        assert np.issubdtype(values.dtype, np.floating), (
            f"{criterion} returned {values.dtype}, not floating point, {case}"
        )
        assert np.isfinite(values).all(), f"{criterion} returned values that are not finite {case}"
        assert not any(np.shares_memory(values, array) for array in _arrays(kernel)), (
            f"{criterion} must return a new array, not one of the record's"
        )
        again = np.asarray(criterion(make_kernel(shape, weights, alive)))
        assert np.array_equal(values, again), f"{criterion} differs for the same seed {case}"
    kernel, other = make_kernel((40, 5), seed=1), make_kernel((40, 5), seed=2)
    before = kernel.rng.bit_generator.state
    differs = not np.array_equal(criterion(kernel), criterion(other))
    drawn = kernel.rng.bit_generator.state != before
    assert differs == drawn, f"{criterion} must draw from `kernel.rng`, and from nothing else"


def check_action(action: Callable[[Kernel], np.ndarray]) -> None:
    """Check that a function says what weights become as an action has to.

    It checks the promises of `check_criterion`, and that values have the dtype of the kernel.

    Args:
        action: A function `Kernel -> values`, for `restart_from` or `hold_at`.

    Raises:
        AssertionError: If it breaks one of these promises.

    Example:

    >>> check_action(lambda kernel: kernel.initial / 2)
    """
    check_criterion(action)
    for dtype in (np.float16, np.float32, np.float64):
        dtype_of_values = action(Kernel.of(np.ones((3, 2), dtype))).dtype
        assert dtype_of_values == dtype, (
            f"{action} returned {dtype_of_values} for a kernel of {np.dtype(dtype)}"
        )


def make_kernel(
    shape: tuple[int, ...], weights: str = "random", alive: str = "some", seed: int = 0
) -> Kernel:
    """Make a kernel whose arrays cannot be written to.

    Args:
        shape: Its shape.
        weights: A key of `WEIGHTS`.
        alive: A key of `ALIVE`.
        seed: Seed of the generator in it; the values are the same for all seeds.
    """
    rng = np.random.default_rng(11)
    arrays = [WEIGHTS[weights](rng, shape).astype(np.float32) for _ in range(3)]
    kernel = Kernel.of(
        arrays[0],
        initial=arrays[1],
        previous=arrays[2],
        mask=rng.random(shape) < ALIVE[alive],
        seed=seed,
    )
    for array in _arrays(kernel):
        array.flags.writeable = False
    return kernel


def _arrays(kernel: Kernel) -> tuple[np.ndarray, ...]:
    return kernel.current, kernel.initial, kernel.previous, kernel.mask
