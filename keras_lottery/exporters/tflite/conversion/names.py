"""Names for a file: the model's own, and never the counter that Keras gives to unnamed layers.

Keras calls the seventh unnamed Dense layer of a process `dense_6`. In a file the layers of each
class are numbered within their model, so the same model gives the same bytes in every process:
`dense`, `dense_1`. A name that the user gave stays.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from keras_lottery.model import keras_internals, variables

_NUMBER = re.compile(r"_\d+$")


def of_layers(model: keras.Model) -> dict[str, str]:
    """The name in a file for each layer of a model.

    Args:
        model: A built `keras.Model`.

    Returns:
        `dict`: the layer's name in Keras -> its name in the file, for the model itself, the layers
        in it and the operations that compute its outputs.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense_7")])
    >>> of_layers(model)["dense_7"]
    'dense'
    """
    outputs = [getattr(tensor, "_keras_history", None) for tensor in _outputs(model)]
    layers = [
        *keras_internals.flat_layers(model),
        *(each.operation for each in outputs if each is not None),
    ]
    kinds = {layer.name: _kind(layer) for layer in layers}
    taken = {name for name, kind in kinds.items() if kind is None}
    found: dict[str, str] = {}
    for name, kind in kinds.items():
        if kind is None:
            found[name] = name
            continue
        number, chosen = 0, kind
        while chosen in taken:
            number += 1
            chosen = f"{kind}_{number}"
        taken.add(chosen)
        found[name] = chosen
    return found


@contextlib.contextmanager
def as_in_file(model: keras.Model) -> Iterator[None]:
    """Gives the layers of a model their names in a file while the block runs.

    The converter orders operations by name. Keras' counters would order `dense_10` before `dense_9`
    in one process, and the same layers the other way round in another.

    Args:
        model: A built `keras.Model`.
    """
    chosen = of_layers(model)
    layers = {id(layer): layer for layer in keras_internals.flat_layers(model)}.values()
    own_names = [(layer, layer.name) for layer in layers]
    try:
        for layer, name in own_names:
            layer.name = chosen[name]
        yield
    finally:
        for layer, name in own_names:
            layer.name = name


def of_variables(model: keras.Model, layers: Mapping[str, str]) -> dict[str, str]:
    """The name in a file for each variable of a model.

    Keras puts the names of the models around a layer in its variables' paths or leaves them out,
    as they were built or loaded. In a file they are always there.

    Args:
        model: A built `keras.Model`.
        layers: What `of_layers` returned.

    Returns:
        `dict`: the name that `variables.named` gives -> the name in the file, none twice.

    >>> inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="inner")
    >>> model = keras.Sequential([keras.Input((4,)), inner])
    >>> list(of_variables(model, of_layers(model)).values())
    ['inner/dense/kernel', 'inner/dense/bias']
    """
    inner = [
        (each.name, {id(variable) for variable in each.variables})
        for each in keras_internals.flat_layers(model)
        if isinstance(each, keras.Model) and each is not model
    ]
    inner.sort(key=lambda pair: -len(pair[1]))
    known = {name for name, _ in inner}
    found = {}
    for name, variable in variables.named(model).items():
        around = [each for each, own in inner if id(variable) in own]
        path = [part for part in name.split("/") if part not in known]
        found[name] = in_file("/".join([*around, *path]), layers)
    return dict(zip(found, distinct(list(found.values())), strict=True))


def in_file(path: str, layers: Mapping[str, str]) -> str:
    """Renames a path, such as a variable's or an operation's, as a file has it.

    Args:
        path: Names that `/` joins; several paths may be joined by `;`.
        layers: What `of_layers` returned.

    >>> in_file("sequential_3_1/dense_9_1/MatMul", {"sequential_3": "net", "dense_9": "dense"})
    'net_1/dense_1/MatMul'
    """
    return "".join(
        part if part in "/;" else _renamed(part, layers) for part in re.split("([/;])", path)
    )


def layer_of(path: str, layers: Mapping[str, str]) -> str:
    """The layer that computes an operation, by its path in a file; "" if the path names no layer.

    Args:
        path: The path, as `in_file` returns it.
        layers: What `of_layers` returned.

    >>> layer_of("net_1/block_1/Gelu;net_1/block_1/add", {"network": "net", "block": "block"})
    'block'
    """
    own = {layers[name]: name for name in list(layers)[1:]}  # the first is the model itself
    for part in reversed(path.partition(";")[0].split("/")):
        for name in (part, _NUMBER.sub("", part)):
            if name in own:
                return own[name]
    return ""


def distinct(names: Sequence[str]) -> list[str]:
    """The names, with numbers behind those that occur again.

    >>> distinct(["scores", "scores", "box"])
    ['scores', 'scores_1', 'box']
    """
    found: list[str] = []
    for name in names:
        number, chosen = 0, name
        while chosen in found:
            number += 1
            chosen = f"{name}_{number}"
        found.append(chosen)
    return found


def is_counted(name: str) -> bool:
    """Whether Keras made up the name of an input.

    >>> is_counted("keras_tensor_12"), is_counted("image_2")
    (True, False)
    """
    return _NUMBER.sub("", name) in ("keras_tensor", "input_layer")


def _outputs(model: keras.Model) -> list[Any]:
    return keras.tree.flatten(getattr(model, "outputs", None) or [])


def _kind(layer: Any) -> str | None:
    """The name that Keras gave a layer after its class, without its number; else `None`."""
    bare = _NUMBER.sub("", layer.name)
    return bare if bare.replace("_", "") == type(layer).__name__.lower() else None


def _renamed(part: str, layers: Mapping[str, str]) -> str:
    for own in sorted(layers, key=len, reverse=True):
        if part == own:
            return layers[own]
        # TensorFlow numbers a scope that is opened again.
        if part.startswith(f"{own}_") and part[len(own) + 1 :].isdigit():
            return layers[own] + part[len(own) :]
    return part
