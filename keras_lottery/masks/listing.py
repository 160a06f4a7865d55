"""Describes a `Lottery` to a person, in one line or a table."""

from collections.abc import Iterable, Mapping

import numpy as np


def short(name: str, masks: Mapping[str, np.ndarray]) -> str:
    """Return one line: the model, how many kernels are masked, how many weights are alive.

    >>> short("net", {"fc1/kernel": np.array([[True, False], [True, True]])})
    "<Lottery of 'net': 3 of 4 weights alive in 1 kernel, sparsity 0.2500>"
    """
    alive, size = _total(masks.values())
    kernels = f"{len(masks)} kernel{'s' * (len(masks) != 1)}"
    return (
        f"<Lottery of {name!r}: {alive:,} of {size:,} weights alive in {kernels}, "
        f"sparsity {1 - alive / size:.4f}>"
    )


def table(masks: Mapping[str, np.ndarray], left_dense: Mapping[str, tuple[str, int]]) -> str:
    """Return a table of kernels with totals, then the variables left dense and why.

    Args:
        masks: Boolean arrays by kernel name, True = alive.
        left_dense: For each variable that could be pruned and is not: the reason, and its size.

    >>> print(table({"fc1/kernel": np.array([[True, False], [True, True]])}, {}))
    kernel      shape  alive  weights  sparsity
    fc1/kernel  2x2        3        4    25.00%
    total                  3        4    25.00%
    """
    rows = [
        (name, "x".join(map(str, mask.shape)), *_numbers([mask])) for name, mask in masks.items()
    ]
    rows.append(("total", "", *_numbers(masks.values())))
    header = ("kernel", "shape", "alive", "weights", "sparsity")
    lines = aligned([header, *rows], left=2)
    if left_dense:
        dense = [(name, reason, f"{size:,}") for name, (reason, size) in left_dense.items()]
        lines += ["", *aligned([("left dense", "reason", "weights"), *dense], left=2)]
    return "\n".join(lines)


def _numbers(masks: Iterable[np.ndarray]) -> tuple[str, str, str]:
    alive, size = _total(masks)
    return f"{alive:,}", f"{size:,}", f"{1 - alive / size:.2%}"


def _total(masks: Iterable[np.ndarray]) -> tuple[int, int]:
    masks = list(masks)
    return sum(int(np.count_nonzero(m)) for m in masks), sum(mask.size for mask in masks)


def aligned(rows: list[tuple[str, ...]], left: int) -> list[str]:
    """Lines of the rows, whose first `left` columns are words and the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
