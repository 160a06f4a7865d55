"""The record that every criterion and every action takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Kernel:
    """One prunable variable at one moment: what there is to know when its weights are ranked.

    The five arrays have the same shape. Functions of a kernel return new arrays and leave these
    as they are; the generator is the only thing they may advance.

    Args:
        name: The variable's name in its model, such as `"fc1/kernel"`.
        current: Its values now, floating point, any rank.
        initial: Its values at the rewind point.
        mask: Boolean, `True` where a weight is alive.
        previous: Its values when it was last pruned; equal to `initial` before the first time.
        rng: The generator of all random choices: one of its own for every kernel at every event.
        draw: `draw(rng)` gives fresh values, from the variable's own initializer.

    Raises:
        ValueError: An array has another shape than `current`, or `mask` is not boolean.

    Example:
        >>> kernel = Kernel.of([0.5, -2.0], initial=[1.0, -1.0])
        >>> kernel.mask
        array([ True,  True])
    """

    name: str
    current: Array
    initial: Array
    mask: Mask
    previous: Array
    rng: np.random.Generator
    draw: Callable[[np.random.Generator], Array]

    def __post_init__(self) -> None:
        for field in ("initial", "mask", "previous"):
            shape = getattr(self, field).shape
            if shape != self.current.shape:
                raise ValueError(
                    f"kernel {self.name!r}: `{field}` has shape {shape}; "
                    f"`current` has {self.current.shape}."
                )
        if self.mask.dtype != np.bool_:
            raise ValueError(
                f"kernel {self.name!r}: `mask` has dtype {self.mask.dtype}; it must be bool, "
                "True where a weight is alive."
            )

    @classmethod
    def of(
        cls,
        current: npt.ArrayLike,
        initial: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        previous: npt.ArrayLike | None = None,
        name: str = "kernel",
        seed: int = 0,
    ) -> Kernel:
        """Makes a kernel by hand, to try a criterion or an action without a model.

        Args:
            current: Values now; an array keeps its dtype, a list becomes float32.
            initial: Values at the rewind point; those of `current` when left out.
            mask: Which weights are alive; all, when left out.
            previous: Values at the last pruning; those of `initial` when left out.
            name: The kernel's name.
            seed: Seeds its generator.

        Returns:
            A kernel whose `draw` is standard normal, in the dtype of `current`.
        """
        values: Array = np.asarray(current, dtype=getattr(current, "dtype", np.float32))

        def like(given: npt.ArrayLike | None, otherwise: Array) -> Array:
            return otherwise if given is None else np.asarray(given, dtype=values.dtype)

        start = like(initial, values)
        return cls(
            name=name,
            current=values,
            initial=start,
            mask=np.ones(values.shape, bool) if mask is None else np.asarray(mask, bool),
            previous=like(previous, start),
            rng=np.random.default_rng(seed),
            draw=lambda rng: rng.standard_normal(values.shape).astype(values.dtype),
        )


def check_seed(seed: int) -> None:
    """Raises an error if `seed` cannot seed a kernel's generator.

    Raises:
        ValueError: `seed` is not a whole number of 0 or more.
    """
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"`seed` is {seed!r}; it must be a whole number of 0 or more.")
