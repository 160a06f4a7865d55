"""How a kernel reads the units before it, and how it takes over the constants of those that go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_lottery.masks.shrink.units import Channels, Keeps


@dataclass(frozen=True, eq=False)
class Reading:
    """A kernel between the units that it reads and those that it makes.

    Where a convolution pads its input with zeros, the constant of a unit does not arrive at the
    border, and no bias is equal to it. There one constant unit stays, the *carrier*, and takes over
    the weights of the others in proportion to their constants.

    Args:
        kernel: Its values; the last axis is the output, the one before it the input.
        bias: The values of the bias, or `None`.
        source: The last axis of the layer's input.
        output: The units that it makes.
        pads: Whether zeros are around the input.
        name: The attribute of the layer that is the kernel.
    """

    kernel: np.ndarray
    bias: np.ndarray | None
    source: Channels
    output: np.ndarray
    pads: bool
    name: str = "kernel"

    @cached_property
    def _linked(self) -> np.ndarray:
        """Where an input and an output have a weight that is not zero: (inputs, outputs)."""
        return (self.kernel != 0).any(axis=tuple(range(self.kernel.ndim - 2)))

    @cached_property
    def _arriving(self) -> np.ndarray:
        """Where an input is a constant other than zero."""
        return self.source.is_constant & (self.source.constant != 0)

    @property
    def _carrier(self) -> int:
        """The input with the largest constant: dividing by it is exact to rounding."""
        return int(np.argmax(np.where(self._arriving, np.abs(self.source.constant), -1)))

    def constants(self) -> np.ndarray:
        """The value of each output before its activation; NaN where it varies."""
        varying = ~self.source.is_constant | (self._arriving & self.pads)
        values = self._weighted(self._arriving & ~varying)
        if self.bias is not None:
            values = values + self.bias.astype(np.float64)
        return np.where(self._linked[varying].any(axis=0), np.nan, values)

    def at_borders(self) -> np.ndarray:
        """The units that arrive as constants, but not at the borders."""
        read = self._linked.any(axis=1)
        return self.source.units[self._arriving & read & self.pads]

    def needed(self, keeps: Keeps) -> np.ndarray:
        """The units that the outputs which stay cannot do without."""
        read = self._linked[:, keeps(self.output)].any(axis=1)
        needed = read & ~self.source.is_constant
        if self.pads and (read & self._arriving).any():
            needed[self._carrier] = True
        return self.source.units[needed]

    def needs_bias(self, keeps: Keeps) -> bool:
        """Return whether constants move into a bias that the layer does not have yet."""
        return self.bias is None and bool(self._moved(keeps)[keeps(self.output)].any())

    def folded(self, keeps: Keeps) -> dict[str, np.ndarray]:
        """The kernel and the bias with the constants of the units that go, not yet cut."""
        values = {self.name: self._carried(keeps) if self.pads else self.kernel}
        if self.bias is not None or self.needs_bias(keeps):
            dtype = self.kernel.dtype if self.bias is None else self.bias.dtype
            bias = 0 if self.bias is None else self.bias.astype(np.float64)
            values["bias"] = (bias + self._moved(keeps)).astype(dtype)
        return values

    def _moved(self, keeps: Keeps) -> np.ndarray:
        """What the constants of the units that go add to each output; nothing through padding."""
        if self.pads:
            return np.zeros(len(self.output))
        return self._weighted(self._arriving & ~keeps(self.source.units))

    def _weighted(self, inputs: np.ndarray) -> np.ndarray:
        """The sum of some constant inputs, each times its weights, for each output."""
        positions = tuple(range(self.kernel.ndim - 2))
        with np.errstate(invalid="ignore"):  # weights may be infinite
            weights = self.kernel[..., inputs, :].sum(axis=positions, dtype=np.float64)
            return self.source.constant[inputs] @ weights

    def _carried(self, keeps: Keeps) -> np.ndarray:
        going = self._arriving & ~keeps(self.source.units)
        if not going.any():
            return self.kernel
        shares = self.source.constant[going] / self.source.constant[self._carrier]
        kernel = self.kernel.astype(np.float64)
        kernel[..., self._carrier, :] += np.einsum("i,...io->...o", shares, kernel[..., going, :])
        return kernel.astype(self.kernel.dtype)
