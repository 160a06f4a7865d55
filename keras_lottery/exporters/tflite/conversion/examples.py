"""Samples for a model: checked, converted to its types, chosen evenly, or made up."""

from typing import Any

import keras
import numpy as np


def check(declared: Any, samples: Any) -> None:
    """Checks that samples are arrays of the structure and the shapes that a model takes.

    Args:
        declared: `keras.KerasTensor`s in their structure, or `None` if the model does not say.
        samples: The samples of the user.

    Raises:
        ValueError: They have another structure or other shapes.
    """
    expected = samples if declared is None else declared
    for leaf in keras.tree.flatten(samples):
        if not hasattr(leaf, "shape"):
            raise ValueError(
                "`samples` must be an array with the examples along its first axis, or a list or "
                f"dict of such arrays; received a {type(samples).__name__} with a "
                f"{type(leaf).__name__}."
            )
    if _kind(samples) != _kind(expected):
        raise ValueError(f"`samples` is {_kind(samples)}; the model takes {_kind(expected)}.")
    arrays = keras.tree.flatten(samples)
    counts = {np.shape(a)[0] if np.ndim(a) else 0 for a in arrays}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            "`samples` needs the same number of examples, one or more, along the first axis of "
            f"every input; received the shapes {sorted({np.shape(a) for a in arrays})}."
        )
    shapes = [tuple(np.shape(t)[1:]) for t in keras.tree.flatten(expected)]
    given = [np.shape(a)[1:] for a in arrays]
    fits = len(shapes) == len(given) and all(
        len(s) == len(g) and all(n in (None, m) for n, m in zip(s, g, strict=True))
        for s, g in zip(shapes, given, strict=True)
    )
    if not fits:
        alone = [shape[1:] for shape in shapes] == given
        cure = " Batch it first: dataset.batch(32)." if alone else ""
        raise ValueError(
            f"`samples` has examples of the shapes {given}; the model takes {shapes}.{cure}"
        )


def spread(samples: Any, count: int) -> Any:
    """Takes examples that stand for all: one from each of `count` equal stretches of them.

    So examples in an order, by label or by brightness, give what they give shuffled. The first and
    the last example are taken, as the extremes of an order. From every other stretch an example is
    drawn, the same in each call, so that examples whose kinds take turns are not all of one kind.

    Args:
        samples: Arrays in any structure, their first axis the examples.
        count: How many to take; all examples if there are no more.

    Returns:
        The same structure with at most `count` examples, in their order.

    >>> spread(np.arange(1000), 4) // 250
    array([0, 1, 2, 3])
    """
    given = len(keras.tree.flatten(samples)[0])
    if given <= count:
        return samples
    edges = np.linspace(0, given, count + 1).round().astype(int)
    chosen = np.random.default_rng(0).integers(edges[:-1], edges[1:])
    chosen[-1], chosen[0] = given - 1, 0
    return keras.tree.map_structure(lambda array: array[chosen], samples)


def made_up(signature: Any, count: int, seed: int = 0) -> Any:
    """Makes inputs to compare two runtimes on, if the user gave none.

    Returns:
        Arrays in the structure of `signature` with `count` examples each. Float inputs get standard
        normal values. Other inputs get zeros and ones, valid for most indices and flags.
    """
    rng = np.random.default_rng(seed)

    def draw(tensor: keras.KerasTensor) -> np.ndarray:
        shape = (count, *tensor.shape[1:])
        if tensor.dtype.startswith("float"):
            return rng.standard_normal(shape, dtype=np.float32)
        return rng.integers(0, 2, shape).astype(tensor.dtype)

    return keras.tree.map_structure(draw, signature)


def fitted(samples: Any, signature: Any) -> Any:
    """Converts samples that fit a model to the types and the structure of its signature.

    Raises:
        ValueError: An input takes integers or flags, and a sample has another value.
    """
    pairs = zip(keras.tree.flatten(samples), keras.tree.flatten(signature), strict=True)
    return keras.tree.pack_sequence_as(signature, [_cast(*pair) for pair in pairs])


def _cast(sample: Any, tensor: keras.KerasTensor) -> np.ndarray:
    given = np.asarray(sample)
    array = given.astype(tensor.dtype)
    if not tensor.dtype.startswith("float") and (changed := array != given).any():
        raise ValueError(
            f"`samples` has {given[changed][0]} for the input {tensor.name!r}, which takes "
            f"{tensor.dtype}."
        )
    return array


def _kind(structure: Any) -> str:
    """Says how inputs are told apart: by their names, or by their order."""
    if isinstance(structure, dict):
        return f"a dict of {', '.join(sorted(map(str, structure)))}"
    return "an array or a list of them"
